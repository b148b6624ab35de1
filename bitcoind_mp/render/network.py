"""Core's name of a chain to btclib's name and constants of that network."""

from btclib.network import NETWORKS, Network

_BTCLIB_NAMES = {"main": "mainnet", "test": "testnet"}


def network_name(chain: str) -> str:
    """btclib's name for the chain that Core calls ``chain``."""
    return _BTCLIB_NAMES.get(chain, chain)


def network_of(chain: str) -> Network:
    """btclib's constants for the chain that Core calls ``chain``."""
    return NETWORKS[network_name(chain)]
