"""The five networks as far as configuration goes: Core's names, directories and default ports.

Source: Core's ``src/chainparamsbase.cpp`` and ``src/util/chaintype.cpp``. Consensus parameters are the node's.
"""


class ChainNames:
    """A network's ``name`` (as in ``getblockchaininfo``), its subdirectory ``directory`` and ``p2p_port``."""

    __slots__ = ("directory", "name", "p2p_port")

    def __init__(self, name: str, directory: str, p2p_port: int) -> None:
        self.name = name
        self.directory = directory
        self.p2p_port = p2p_port


CHAINS = {
    chain.name: chain
    for chain in (
        ChainNames("main", "", 8333),
        ChainNames("test", "testnet3", 18333),
        ChainNames("testnet4", "testnet4", 48333),
        ChainNames("signet", "signet", 38333),
        ChainNames("regtest", "regtest", 18444),
    )
}

#: The options that choose a network besides ``-chain=``, and what each chooses.
SELECTORS = {"regtest": "regtest", "signet": "signet", "testnet": "test", "testnet4": "testnet4"}
