"""Making a new wallet's file: all of it in one transaction, so that a kill leaves a whole wallet or none.

What doesn't belong: names and directories (``manager.py``), following the chain.
"""

from dataclasses import dataclass
from pathlib import Path

from btclib.network import NETWORKS

from bitcoind_mp.interfaces.chain import Chain
from bitcoind_mp.interfaces.signer import KeySet, Signer
from bitcoind_mp.signing.sealing import Cost
from bitcoind_mp.wallet.clock import NodeClock
from bitcoind_mp.wallet.importing import Prepared, add_own, prepare_public, prepare_standard
from bitcoind_mp.wallet.keyring.keystore import prepare_encryption
from bitcoind_mp.wallet.keyring.signer_keys import remember
from bitcoind_mp.wallet.options import WalletOptions
from bitcoind_mp.wallet.storage import flags as flag
from bitcoind_mp.wallet.storage.ledger import SCHEMA_VERSION, Ledger
from bitcoind_mp.wallet.storage.tables import BlockRow
from bitcoind_mp.wallet.wallet import Wallet


@dataclass(frozen=True)
class Recipe:
    """What is asked for. ``passphrase`` empty: not encrypted. ``blank``: no keys of its own."""

    disable_private_keys: bool = False
    blank: bool = False
    passphrase: str = ""
    avoid_reuse: bool = False

    @property
    def flags(self) -> list[str]:
        """The wallet flags that it has."""
        asked = {
            flag.DISABLE_PRIVATE_KEYS: self.disable_private_keys,
            flag.BLANK: self.blank,
            flag.AVOID_REUSE: self.avoid_reuse,
        }
        return [name for name, on in asked.items() if on]

    @property
    def has_own_keys(self) -> bool:
        """Whether a seed is made for it."""
        return not (self.disable_private_keys or self.blank)


def genesis(options: WalletOptions) -> str:
    """The hash of the network's first block, in the order it is printed."""
    return NETWORKS[options.network].genesis_block.hex()


async def make(
    name: str,
    path: Path,
    recipe: Recipe,
    start: list[BlockRow],
    options: WalletOptions,
    chain: Chain,
    clock: NodeClock,
    cost: Cost | None = None,
    signer: Signer | None = None,
) -> None:
    """Make the file at ``path``. ``start``: the newest block it needn't look at, and some before it. ``signer``: who
    is to hold its private keys, where it has any that are encrypted; None: its file.

    Takes about a second with the default keypool. Raises `WalletFileError`, `RpcError` (-20)."""
    prepared: list[Prepared] = []
    held: KeySet | None = None
    if recipe.has_own_keys and recipe.passphrase and signer is not None:
        # On its disk before ours: a kill between the two leaves keys without a wallet, never a wallet without keys.
        held = await signer.make(name, recipe.passphrase)
        prepared = await prepare_public(held, options.network, options.keypool)
    elif recipe.has_own_keys:
        prepared = await prepare_standard(options.chain, options.network, options.keypool)
    encryption: tuple[bytes, bytearray] | None = None
    if recipe.passphrase and held is None:
        encryption = await prepare_encryption(recipe.passphrase, cost or Cost())

    def fill(ledger: Ledger) -> None:
        if held is not None:
            remember(ledger, held)
        wallet = Wallet(name, ledger, options, chain, clock, cost, signer)
        for one in recipe.flags:
            wallet.flags.set(one)
        if encryption is not None:
            wallet.keys.encrypt(*encryption)
        add_own(wallet, prepared, clock.now())
        wallet.progress.replace_all(start)
        wallet.keys.lock()

    version = {} if held is None else {"version": SCHEMA_VERSION}
    Ledger.create(path, options.chain, genesis(options), fill, **version)
