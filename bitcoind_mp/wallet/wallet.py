"""One wallet: the object that commands are given. It joins ledger, keys, descriptors and history; each has its file.

What doesn't belong: JSON, choosing coins, building transactions, the connection to the node.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from bitcoind_mp.interfaces.chain import BlockRef, Chain
from bitcoind_mp.interfaces.command import commit_point
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.signer import LOCKED, Signer
from bitcoind_mp.signing.descriptor_keys import plain_keys, private_keys
from bitcoind_mp.signing.keystore import SecretNonces
from bitcoind_mp.signing.sealing import Cost

from .addressing.address_source import AddressSource, Reservation
from .addressing.book import RECEIVE, SEND, AddressBook
from .addressing.descriptors import DescriptorSet, WalletDescriptor
from .chain.outbox import Outbox
from .clock import NodeClock
from .coins import Balance, Coin, CoinFilter, OutPoint, OutputType, Owner
from .keyring.keys import Keys
from .keyring.keystore import KeyStore
from .keyring.relock import Relock
from .keyring.signer_keys import SignerKeys, keyset_of
from .options import WalletOptions
from .record.balances import View
from .record.changes import ChangeTable
from .record.history import History
from .record.intake import Intake
from .record.locks import Locks
from .record.progress import Progress
from .storage import flags as flag
from .storage.flags import Flags
from .storage.ledger import Ledger
from .storage.tables import (
    AddressTable,
    BlockRow,
    DescriptorTable,
    LockedTable,
    TransactionTable,
)
from .transactions import Confirmed, Inactive, WalletTx

log = logging.getLogger("bitcoind_mp.wallet")

_ANY = CoinFilter()
#: While catching up, the position is written at least once in so many blocks.
_SAVE_EVERY = 100


class Wallet:
    """One loaded wallet. All methods run on the loop's thread; those that don't await are atomic to other callers."""

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        options: WalletOptions,
        chain: Chain,
        clock: NodeClock,
        cost: Cost | None = None,
        signer: Signer | None = None,
    ) -> None:
        self.name = name
        self.ledger = ledger
        self.options = options
        self.chain: Chain = chain
        """The node. Its methods raise `RpcError` (-9) while it is away."""
        self._clock = clock
        self.flags = Flags(ledger)
        self.keys: Keys = KeyStore(ledger, cost)
        if keyset_of(ledger) is not None:
            assert signer is not None, "a wallet whose keys the signer holds needs a signer"
            self.keys = SignerKeys(ledger, signer)
        self.relock = Relock(self.keys, clock.now)
        self.descriptors = DescriptorSet(DescriptorTable(ledger), options.network, options.keypool)
        self.book = AddressBook(AddressTable(ledger))
        self.locks = Locks(LockedTable(ledger))
        self.changes = ChangeTable(ledger)
        """What the supervisor is to be told."""
        self.history = History(TransactionTable(ledger), self.descriptors.owner, self.changes.note)
        self.progress = Progress(ledger)
        self.addresses = AddressSource(ledger, self.descriptors, self.book, options.chain, self.mapping_if_open)
        self.intake = Intake(
            self.history,
            self.descriptors,
            self.book,
            self.locks,
            mapping=self.mapping_if_open,
            now=clock.now,
            note_reuse=lambda: self.avoid_reuse,
        )
        self.outbox = Outbox(
            chain,
            ledger,
            self.history,
            broadcast=options.broadcast,
            height=lambda: self.height,
            changed=self.changed,
            log=self.log,
        )
        self.nonces = SecretNonces()
        """Of signatures that are made with others (MuSig2), between their two rounds."""
        self.spending = asyncio.Lock()
        """Held from choosing coins to `commit`, so that two payments never choose the same."""
        self.scanning: tuple[float, float] | None = None
        """While blocks are scanned again: when that began (monotonic) and how much of it is done, 0 to 1."""
        self.stale_since: int | None = None
        """Since when the node has been away (seconds since 1970), None while blocks arrive as they are found."""
        self.best_block_seen: int | None = None
        """When the newest block came (the node's clock), None before the first."""
        self.node_gone = asyncio.Event()
        """Set while the node is away."""
        self.node_gone.set()
        self._listeners: list[Callable[[Wallet], None]] = []
        self._movers: list[Callable[[], None]] = []
        self._moved = asyncio.Event()
        ledger.on_rollback = self._reload

    def _reload(self) -> None:
        """A transaction was undone: memory follows the file."""
        parts = (self.flags, self.keys, self.descriptors, self.book, self.locks, self.history, self.progress)
        for part in (*parts, self.changes):
            part.reload()

    def close(self) -> None:
        """Forget secrets and close the file."""
        self.relock.close()
        with suppress(RpcError):
            self.save_position()
        self.ledger.close()

    def on_change(self, listener: Callable[["Wallet"], None]) -> None:
        """Call back after each change that people may want to see."""
        self._listeners.append(listener)

    def on_move(self, listener: Callable[[], None]) -> None:
        """Call back after each block, also after one without anything of ours, and after each one scanned again."""
        self._movers.append(listener)

    def changed(self) -> None:
        """Something was committed."""
        for listener in self._listeners:
            listener(self)

    def log(self, message: str, *values: object) -> None:
        """A line in the log, with the wallet's name (never a secret)."""
        log.info("[%s] " + message, self.name, *values)

    # --- where it stands -------------------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """The height of the last block whose effects are committed, -1 for none."""
        return self.progress.tip.height if self.progress.tip else -1

    @property
    def block(self) -> bytes:
        """Its hash, in the order it is printed; zeros for none."""
        return self.progress.tip.hash if self.progress.tip else bytes(32)

    @property
    def block_time(self) -> int:
        """Its time."""
        return self.progress.tip.time if self.progress.tip else 0

    @property
    def median_time(self) -> int:
        """Its median time past."""
        return self.progress.tip.median_time if self.progress.tip else 0

    def now(self) -> int:
        """The node's clock (mock time where set), seconds since 1970."""
        return self._clock.now()

    def clock_set(self, clock: int, *, stands: bool) -> None:
        """The node says that its clock was put."""
        self._clock.set(clock, stands=stands)

    async def reach(self, block: bytes, height: int, deadline: float) -> bool:
        """Wait until that block's effects are committed, or a later one's; False if that takes too long (seconds).

        A wallet that stands higher than that block is on its way down to it (``invalidateblock``).
        """
        came_down = self.height <= height
        try:
            async with asyncio.timeout(deadline):
                while self.block != block and not (came_down and self.height > height):
                    await self.moved()
                    came_down = came_down or self.height <= height
        except TimeoutError:
            return False
        return True

    async def moved(self) -> None:
        """Wait for the next change of where it stands."""
        await self._moved.wait()

    def touch(self) -> None:
        """Wake those that wait for where it stands."""
        self._moved.set()
        self._moved = asyncio.Event()
        self.got_on()

    def got_on(self) -> None:
        """Tell those who watch how far it is. Cheap: called for each block."""
        for listener in self._movers:
            listener()

    @property
    def birth_time(self) -> int | None:
        """No transaction of ours is older; None without descriptors."""
        times = [found.created for found in self.descriptors] + [tx.time for tx in self.history]
        return min(times, default=None)

    # --- what kind it is -------------------------------------------------------------------------------------

    @property
    def private_keys_enabled(self) -> bool:
        """False for a watch-only wallet."""
        return flag.DISABLE_PRIVATE_KEYS not in self.flags

    @property
    def avoid_reuse(self) -> bool:
        """Whether addresses that were spent from are told apart."""
        return flag.AVOID_REUSE in self.flags

    def require_unlocked(self) -> None:
        """Raise Core's -13 where a passphrase is needed (``EnsureWalletIsUnlocked``)."""
        if self.keys.is_locked:
            raise RpcError(RpcCode.WALLET_UNLOCK_NEEDED, LOCKED)

    # --- scripts and addresses ------------------------------------------------------------------------------

    def owner(self, script: bytes) -> Owner | None:
        """Whose that scriptPubKey is, None for a stranger's (``IsMine``)."""
        return self.descriptors.owner(script)

    def is_change(self, script: bytes) -> bool:
        """Ours, and in no address book entry (``ScriptIsChange``)."""
        return self.book.is_change(script, ours=self.owner(script) is not None)

    def new_address(self, type: OutputType, label: str) -> str:
        """The next receiving address, in the address book under that label when this returns.

        Raises `RpcError` -12 as Core's."""
        address = self.addresses.receiving(type, label)
        self.changed()
        return address

    def label(self, script: bytes, label: str) -> None:
        """Put an address into the address book, or change its label (``setlabel``)."""
        with self.ledger.transaction():
            self.book.record(script, label, RECEIVE if self.owner(script) else SEND)
        self.changed()

    def private_keys(self, owner: Owner) -> dict[bytes, bytes]:
        """The private keys that we hold of that script's: public key (SEC) to 32 bytes. Empty for watch-only.

        Raises `RpcError` -13 when locked."""
        return private_keys(self.descriptors.get(owner.descriptor).source, owner.index, self.keys)

    def mapping(self, descriptor: int) -> Mapping[str, str]:
        """The ``prv_keys`` mapping of btclib's descriptors for one of ours: extended public to private keys.

        Raises `RpcError` -13 when locked."""
        keys = plain_keys(self.descriptors.get(descriptor).source)
        return {key.xkey: self.keys.secret(key.xkey) for key in keys if key.xkey and self.keys.holds(key.xkey)}

    def mapping_if_open(self, found: WalletDescriptor) -> Mapping[str, str] | None:
        """The same for a descriptor that can't be derived without, None for others and while locked."""
        return self.mapping(found.number) if found.hardened_wildcard and not self.keys.is_locked else None

    # --- transactions and coins -----------------------------------------------------------------------------

    def view(self) -> View:
        """Everything that is worked out from history, as of now."""
        return View(self.history, self.book, self.descriptors, self.height, self.options.spend_zero_conf_change)

    def transaction(self, txid: bytes) -> WalletTx | None:
        """One of the wallet's transactions."""
        return self.history.get(txid)

    def depth(self, tx: WalletTx) -> int:
        """Confirmations; 0 unconfirmed; negative: how deep the block is that conflicts with it."""
        return self.history.depth(tx, self.height)

    def is_spent(self, outpoint: OutPoint) -> bool:
        """Spent by a transaction that is neither abandoned nor conflicted (``IsSpent``)."""
        return self.history.is_spent(outpoint)

    def coins(self, wanted: CoinFilter = _ANY) -> list[Coin]:
        """The unspent outputs that pass (``AvailableCoins``)."""
        return list(self.view().coins(wanted, self.is_locked))

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """That output of ours, spent or not, whatever its state; None for a stranger's."""
        output, tx = self.history.outputs.get(outpoint), self.history.get(outpoint.txid)
        return None if output is None or tx is None else self.view().coin(outpoint, output, tx)

    def balance(self, min_depth: int = 0, avoid_reuse: bool = True) -> Balance:
        """``GetBalance``."""
        return self.view().balance(min_depth, avoid_reuse and self.avoid_reuse)

    def debit(self, tx: WalletTx) -> int:
        """What it takes from us, in satoshis: the sum of its inputs that were ours."""
        outputs = self.history.outputs
        return sum(outputs[outpoint].amount for outpoint in tx.spends if outpoint in outputs)

    def credit(self, tx: WalletTx) -> int:
        """What it gives us, in satoshis."""
        outputs = (self.history.outputs.get(OutPoint(tx.txid, n)) for n in range(len(tx.tx.vout)))
        return sum(output.amount for output in outputs if output is not None)

    def is_locked(self, outpoint: OutPoint) -> bool:
        """Locked by `lockunspent`."""
        return outpoint in self.locks

    def lock_coins(self, outpoints: Iterable[OutPoint], persistent: bool = False) -> None:
        """Keep them out of automatic coin selection; over restarts too where ``persistent``."""
        with self.ledger.transaction():
            self.locks.lock(outpoints, persistent)

    def unlock_coins(self, outpoints: Iterable[OutPoint]) -> None:
        """Let them be chosen again."""
        with self.ledger.transaction():
            self.locks.unlock(outpoints)

    async def commit(
        self,
        raw: bytes,
        *,
        comment: str = "",
        comment_to: str = "",
        replaces: bytes | None = None,
        change: Iterable[Reservation] = (),
    ) -> bytes:
        """Keep the transaction and the addresses it used, on disk before anything is sent; then hand it to the node.

        The node's refusal is logged and doesn't undo it (``CommitTransaction``): it is rebroadcast later, or
        abandoned by a person. ``replaces`` marks the transaction it replaces too. Returns the txid.
        """
        commit_point()
        with self.ledger.transaction():
            tx = self.intake.ours(raw, Inactive())
            tx.comment, tx.comment_to, tx.replaces = comment, comment_to, replaces
            self.history.save(tx)
            old = self.history.get(replaces) if replaces else None
            if old is not None:
                old.replaced_by = tx.txid
                self.history.save(old)
            for reservation in change:
                self.addresses.keep(reservation)
        self.changed()
        if not await self.outbox.submit(tx):
            self.log("Sent %s" if self.options.broadcast else "Made %s, which is not broadcast", tx.txid.hex())
        return tx.txid

    def abandon(self, tx: WalletTx) -> None:
        """Give it and what spends from it up (``AbandonTransaction``)."""
        with self.ledger.transaction():
            self.history.abandon(tx)
        self.changed()

    def take_proved(self, raw: bytes, state: Confirmed) -> bool:
        """Keep a transaction that is proved to be confirmed; False where it doesn't pay us (``importprunedfunds``)."""
        with self.ledger.transaction():
            taken = self.intake.proved(raw, state)
        self.changed()
        return taken

    def remove(self, tx: WalletTx) -> None:
        """Forget a transaction of the wallet's (``removeprunedfunds``)."""
        with self.ledger.transaction():
            self.history.remove(tx)
        self.changed()

    # --- what the node tells -------------------------------------------------------------------------------

    def connect_block(self, raw: bytes, block: BlockRef, live: bool = True) -> None:
        """The next block: its effects and the new position are one transaction on disk.

        While catching up (not ``live``) the position alone is written once in `_SAVE_EVERY` blocks: a kill makes us
        look through blocks again in which there was nothing of ours.
        """
        self.best_block_seen = self.now()
        quiet = not live and self.progress.unsaved < _SAVE_EVERY and self.height == block.height - 1
        if quiet and not self.intake.finds(raw):
            self.progress.advance(BlockRow.of(block))
            self.got_on()
            return
        with self.ledger.transaction():
            self._rewind(block.height - 1)
            self.progress.advance(BlockRow.of(block))
            taken = self.intake.block(raw, block, block.height)
            self.progress.save()
        self._move(bool(taken))

    def rescan_block(self, raw: bytes, block: BlockRef, max_time: int, next_height: int) -> None:
        """An older block, looked through again. ``max_time``: the highest block time up to it. What is to be scanned
        is ``next_height`` and those above from then on."""
        if not self.intake.finds(raw) and next_height % _SAVE_EVERY:
            return
        with self.ledger.transaction():
            taken = self.intake.block(raw, block, self.height, max_time)
            self.progress.rescan_at(next_height)
        if taken:
            self.changed()

    def rewind_to(self, block: BlockRef) -> None:
        """The blocks above that one left the best chain."""
        row = BlockRow.of(block)
        with self.ledger.transaction():
            self._rewind(block.height)
            if self.block != row.hash:
                self.progress.advance(row)
            self.progress.save()
        self._move(True)

    def save_position(self) -> None:
        """Write how far it has followed."""
        if self.progress.unsaved:
            with self.ledger.transaction():
                self.progress.save()

    def _rewind(self, height: int) -> None:
        """Undo what is above that height. In a ledger transaction."""
        if self.height <= height:
            return
        confirmed: dict[bytes, list[bytes]] = {}
        for tx in self.history:
            if isinstance(tx.state, Confirmed) and tx.state.height > height:
                confirmed.setdefault(tx.state.block, []).append(tx.txid)
        self.progress.rewind(height, confirmed)
        self.history.rewind(height)

    def start_at(self, rows: list[BlockRow]) -> None:
        """Follow from the newest of these blocks: nothing of ours is older."""
        with self.ledger.transaction():
            self.progress.replace_all(rows)
        self._move(True)

    def _move(self, seen: bool) -> None:
        self.touch()
        if seen:
            self.changed()

    def mempool_added(self, raw: bytes, time: int) -> None:
        """A transaction is in the mempool."""
        if not self.intake.concerns(raw):
            return
        with self.ledger.transaction():
            self.intake.mempool(raw, time)
        self.changed()

    def mempool_removed(self, txid: bytes, reason: str) -> None:
        """A transaction left the mempool without a confirmation."""
        if self.history.get(txid) is None:
            self.history.left_mempool(txid)
            return
        with self.ledger.transaction():
            self.intake.left_mempool(txid, reason)
        self.changed()

    def facts(self) -> dict[str, Any]:
        """For people's eyes: name, balances in satoshis, whether it is scanning, its height, since when stale."""
        balance = self.balance()
        return {
            "name": self.name,
            "trusted": balance.trusted,
            "pending": balance.pending,
            "immature": balance.immature,
            "scanning": self.scanning is not None,
            "height": self.height,
            "stale_since": self.stale_since,
        }
