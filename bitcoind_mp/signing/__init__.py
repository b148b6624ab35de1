"""Spending an output: what satisfies a script, from which keys, and a transaction or PSBT on its way to complete.

The rules are those of Core's ``src/script/sign.cpp`` and ``src/psbt.cpp``: what is complete, what a half-signed
input looks like, and what is said to be missing. Pure: keys come in a `KeyStore` and none is held; no chain, no
mempool, no wallet. Used by the node (`signrawtransactionwithkey`, `finalizepsbt`, `analyzepsbt`…) and by the wallet.
"""
