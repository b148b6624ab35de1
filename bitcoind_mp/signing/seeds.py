"""New wallets' descriptors: Core's four address types below one random seed (``GenerateWalletDescriptor``,
``src/wallet/walletutil.cpp``; BIPs 44, 49, 84 and 86)."""

import os
from collections.abc import Iterator

from btclib.network import NETWORKS
from btclib_wallet.bip32.bip32 import rootxprv_from_seed

#: Core's name of an address type to the purpose and the shape of its descriptors.
SHAPES = {
    "legacy": (44, "pkh({})"),
    "p2sh-segwit": (49, "sh(wpkh({}))"),
    "bech32": (84, "wpkh({})"),
    "bech32m": (86, "tr({})"),
}


def new_master_key(network: str) -> str:
    """A random extended private key of btclib's network."""
    return rootxprv_from_seed(os.urandom(32), NETWORKS[network].bip32_prv)


def account(network: str, type: str) -> tuple[int, int, int]:
    """The steps, all hardened, from an extended key to an address type's account."""
    return SHAPES[type][0], 0 if network == "mainnet" else 1, 0


def descriptor_text(master: str, network: str, type: str, internal: bool) -> str:
    """The ranged descriptor of an address type under an extended key, private or public."""
    steps = "".join(f"/{step}h" for step in account(network, type))
    return SHAPES[type][1].format(f"{master}{steps}/{int(internal)}/*")


def standard_descriptors(master: str, network: str) -> Iterator[tuple[str, bool, str]]:
    """All that a new wallet has: type, whether for change, text."""
    for internal in (False, True):
        for type in SHAPES:
            yield type, internal, descriptor_text(master, network, type, internal)
