"""Values of the protocol to the JSON that Bitcoin Core prints for them, and back: what node and wallet both tell.

Pure: bytes and btclib values in, dicts in Core's field order out, and the way back from what people type with
Core's error words. Nothing here knows a chain, a mempool or a wallet. Networks are named as Core names chains
(``main``, ``test``, ``testnet4``, ``signet``, ``regtest``).
"""
