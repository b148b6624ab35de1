"""bitcoind_mp: a Bitcoin node and wallet as separate, supervised processes."""

__version__ = "0.1.0"
