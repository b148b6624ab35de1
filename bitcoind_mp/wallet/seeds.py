"""New wallets' descriptors: Core's four address types below one random seed (``GenerateWalletDescriptor``,
``src/wallet/walletutil.cpp``; BIPs 44, 49, 84 and 86)."""

import os
from collections.abc import Iterator

from btclib.network import NETWORKS
from btclib_wallet.bip32.bip32 import rootxprv_from_seed

from .coins import OutputType

_SHAPES = {
    OutputType.LEGACY: (44, "pkh({})"),
    OutputType.P2SH_SEGWIT: (49, "sh(wpkh({}))"),
    OutputType.BECH32: (84, "wpkh({})"),
    OutputType.BECH32M: (86, "tr({})"),
}


def new_master_key(network: str) -> str:
    """A random extended private key of btclib's network."""
    return rootxprv_from_seed(os.urandom(32), NETWORKS[network].bip32_prv)


def descriptor_text(master: str, network: str, type: OutputType, internal: bool) -> str:
    """The ranged descriptor of an address type under an extended key, private or public."""
    purpose, shape = _SHAPES[type]
    coin = 0 if network == "mainnet" else 1
    return shape.format(f"{master}/{purpose}h/{coin}h/0h/{int(internal)}/*")


def standard_descriptors(master: str, network: str) -> Iterator[tuple[OutputType, bool, str]]:
    """All that a new wallet has: type, whether for change, text."""
    for internal in (False, True):
        for type in OutputType:
            yield type, internal, descriptor_text(master, network, type, internal)
