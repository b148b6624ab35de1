"""What differs between networks: consensus constants (btclib's), and the node's own (Core's ``chainparams.cpp``).

Address and key prefixes are not here: they are `btclib.network.NETWORKS[params.network]`.
"""

from dataclasses import dataclass

from btclib.block.genesis import genesis_block
from btclib.consensus import CONSENSUS_PARAMS, ConsensusParams
from btclib.p2p.magic import DEFAULT_SIGNET_CHALLENGE, magic_from_network


@dataclass(frozen=True)
class ChainTxData:
    """How many transactions there were when, and how fast they came since (``ChainTxData``): for the progress."""

    time: int
    tx_count: int
    rate: float
    """Transactions a second after ``time``."""


@dataclass(frozen=True)
class ChainParams:
    """One network.

    ``name`` is Core's word (main, test, testnet4, signet, regtest), ``network`` btclib's (mainnet, testnet, …).
    ``magic`` begins each P2P message and each block in the ``blk`` files. ``challenge`` is the signet's, else empty.
    """

    name: str
    network: str
    consensus: ConsensusParams
    magic: bytes
    default_port: int
    genesis_raw: bytes
    tx_data: ChainTxData
    is_test: bool
    challenge: bytes = b""
    minimum_work: int | None = None
    """What the operator takes for `minimum_chain_work` (``-minimumchainwork``)."""

    @property
    def minimum_chain_work(self) -> int:
        """Below this the node is in its initial download whatever the tip's age (``nMinimumChainWork``)."""
        return self.consensus.minimum_chain_work if self.minimum_work is None else self.minimum_work


_TX_DATA = {
    "main": ChainTxData(1772055173, 1315805869, 5.40111006496122),
    "test": ChainTxData(1772051651, 536108416, 0.02691479016257117),
    "testnet4": ChainTxData(1772013387, 14191421, 0.01848579579528412),
    "signet": ChainTxData(1772055248, 28676833, 0.06736623436338929),
    "regtest": ChainTxData(0, 0, 0.001),
}
_NETWORKS = {
    # name: (btclib's name, P2P port)
    "main": ("mainnet", 8333),
    "test": ("testnet", 18333),
    "testnet4": ("testnet4", 48333),
    "signet": ("signet", 38333),
    "regtest": ("regtest", 18444),
}


def params_for(name: str) -> ChainParams:
    """The network of that name (Core's word).

    Raises:
        KeyError: no such network.
    """
    network, port = _NETWORKS[name]
    return ChainParams(
        name=name,
        network=network,
        consensus=CONSENSUS_PARAMS[network],
        magic=magic_from_network(network),
        default_port=port,
        genesis_raw=genesis_block(network).serialize(check_validity=False),
        tx_data=_TX_DATA[name],
        is_test=name != "main",
        challenge=DEFAULT_SIGNET_CHALLENGE if name == "signet" else b"",
    )
