"""The mempool's public face: how it changes, and how it follows the chain. What it can be asked is in ``lookup.py``.

What belongs here: putting the parts together. What doesn't: any rule.
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from btclib.tx import Tx

from .accept import Acceptance
from .clusters import Clusters
from .entry import Accepted, MempoolEntry, PackageResult, Removal
from .estimator import FeeEstimator
from .follow import Follower
from .limits import Limits
from .lookup import MempoolView
from .minimum import MinimumFee
from .persist import Persistence
from .plan import Plan, Planner
from .policy import MempoolPolicy
from .reorganise import Reorganiser
from .rules import Incoming, Rules, Terms
from .scripts import Scripts
from .store import Store
from .view import ChainView, ScriptVerifier

log = logging.getLogger(__name__)

#: Seconds that the tip may be old for fees to be learnt from (``MAX_FEE_ESTIMATION_TIP_AGE``).
_ESTIMATION_TIP_AGE = 3 * 3600
#: Seconds between two writes of the fee estimates (``FEE_FLUSH_INTERVAL``).
_ESTIMATES_INTERVAL = 3600

_MOST = (1 << 63) - 1
_FROM_DISK = Terms(ask_fee=False)


class MempoolListener(Protocol):
    """Told of every change, in the loop, in order, after it happened."""

    def added(self, entry: MempoolEntry) -> None:
        """``entry`` is in the mempool now, and news."""

    def returned(self, entry: MempoolEntry) -> None:
        """``entry`` is in the mempool now: a disconnected block gave it back. No news to peers, who had that block."""

    def removed(self, entry: MempoolEntry, reason: Removal) -> None:
        """``entry`` left the mempool; with `Removal.BLOCK` a block confirmed it."""


class Subscription:
    """What `Mempool.subscribe` gives."""

    def __init__(self, listeners: list[MempoolListener], listener: MempoolListener) -> None:
        self._listeners = listeners
        self._listener: MempoolListener | None = listener

    def close(self) -> None:
        """Tell that listener nothing more. Harmless twice."""
        if self._listener is not None:
            self._listeners.remove(self._listener)
            self._listener = None


class Mempool(MempoolView):
    """The node's unconfirmed transactions. Every method runs in the loop; only the ``async`` ones wait.

    Args:
        chain: the best chain; the mempool subscribes to it and follows its blocks.
        policy: the limits.
        verify: the kernel's script check, called on a worker thread.
        directory: the network's directory, where ``mempool.dat``, the journal and ``fee_estimates.dat`` live; None
            keeps nothing, and ``policy.persist`` off keeps the estimates alone.
    """

    def __init__(
        self, chain: ChainView, policy: MempoolPolicy, *, verify: ScriptVerifier, directory: Path | None = None
    ) -> None:
        self.policy = policy
        self.loaded = False
        """Whether loading from disk has been tried and is over."""
        self.estimator = FeeEstimator(directory / "fee_estimates.dat" if directory is not None else None)
        self._chain = chain
        self._listeners: list[MempoolListener] = []
        self._store = Store(Clusters(policy.cluster_count, policy.cluster_size * 4), self._added, self._removed)
        self._minimum = MinimumFee(policy)
        self._limits = Limits(self._store, policy, self._minimum)
        self._scripts = Scripts(verify)
        self._disk = Persistence(directory, self._store) if directory is not None and policy.persist else None
        rules = Rules(chain, self._store, policy, self._minimum)
        planner = Planner(self._store, rules, policy)
        self._rules = rules
        self._reorganiser = Reorganiser(
            chain, self._store, rules, planner, self._scripts, record=self._record_quietly, over=self._trim
        )
        self._acceptance = Acceptance(
            self._store,
            planner,
            self._scripts,
            changes=self._changes,
            settled=self._reorganiser.settled,
            record=self._record,
            trim=self._trim,
        )
        self._changing = asyncio.Lock()
        self._background: set[asyncio.Task[None]] = set()
        self._closed = False
        self._waiting_for_coins = False
        self._subscription = chain.subscribe(
            Follower(chain, self._store, self._reorganiser, self._minimum, self.estimator, settled=self._settled)
        )

    # changes

    async def accept(
        self, tx: Tx, *, max_fee_rate: int | None = None, local: bool = True, unbroadcast: bool = False
    ) -> Accepted:
        """Put a transaction into the mempool. When this returns it survives a kill.

        ``local=False`` (from a peer) survives a kill of the process, and not a power cut. ``max_fee_rate`` in
        sat/kvB, refused as ``max-fee-exceeded``. ``unbroadcast``: see `add_unbroadcast`.

        Raises:
            Rejected: with Core's reason.
            CoinsUnavailable: during the initial download.
            OSError: it could not be written down and was not accepted.
        """
        incoming = Incoming.of(tx, self._chain.clock.now(), unbroadcast=unbroadcast)
        async with self._changing:
            accepted = await self._acceptance.single(incoming, Terms(), max_fee_rate=max_fee_rate)
            entry = self._store.entries[incoming.txid]
            self.estimator.entered(entry, counts=self._teaches(entry))
            if unbroadcast:
                self.add_unbroadcast(incoming.txid)
        if local and self._disk is not None:
            await self._disk.sync()
        return accepted

    async def accept_package(
        self, txs: Sequence[Tx], *, max_fee_rate: int | None = None, local: bool = True
    ) -> PackageResult:
        """``submitpackage``: a child and its parents, or one transaction (Core's ``AcceptPackage``). ``local`` as in
        `accept`. Raises as that, but for `Rejected`."""
        now = self._chain.clock.now()
        async with self._changing:
            result = await self._acceptance.package([Incoming.of(tx, now) for tx in txs], max_fee_rate)
        if local and self._disk is not None:
            await self._disk.sync()
        return result

    async def test(self, txs: Sequence[Tx], *, max_fee_rate: int | None = None) -> PackageResult:
        """``testmempoolaccept``: would they be accepted? One alone, or several as a package (1 to 25).

        One that pays too much is refused as ``max-fee-exceeded`` (where Core gives no ``reject-details``), and those
        after it are left blank.
        """
        incoming = [Incoming.of(tx, self._chain.clock.now()) for tx in txs]
        if len(incoming) == 1:
            return await self._acceptance.test_single(incoming[0], max_fee_rate=max_fee_rate)
        return await self._acceptance.test_package(incoming, max_fee_rate=max_fee_rate)

    async def prioritise(self, txid: bytes, delta: int) -> None:
        """Add ``delta`` satoshis to what the transaction is taken to pay, up to what 64 bits hold (``SaturatingAdd``);
        kept over restarts.

        Raises:
            OSError: it could not be written down and was not done.
        """
        total = max(-_MOST - 1, min(_MOST, self._store.deltas.get(txid, 0) + delta))
        if self._disk is not None:
            self._disk.record_delta(txid, total)
        self._store.set_delta(txid, total)
        if self._disk is not None:
            await self._disk.sync()

    def add_unbroadcast(self, txid: bytes) -> None:
        """Announce it again until a peer asks."""
        if txid in self._store.entries:
            self._store.unbroadcast.add(txid)

    def mark_broadcast(self, txid: bytes) -> None:
        """A peer has asked for it: it needs no more announcing."""
        self._store.unbroadcast.discard(txid)

    def subscribe(self, listener: MempoolListener) -> Subscription:
        """Tell ``listener`` of every change from now on."""
        self._listeners.append(listener)
        return Subscription(self._listeners, listener)

    # disk

    async def load(self) -> None:
        """Take back what ``mempool.dat`` and the journal hold; sets `loaded`.

        During the initial download nothing can be taken back: then this happens by itself when that is over.
        """
        self._waiting_for_coins = not self._chain.coins.available
        if self._waiting_for_coins:
            return
        if self._disk is not None:
            journaled = await self._disk.load(self._take_back, self._chain.clock.now() - self.policy.expiry)
            self._limits.drop_below(self.policy.min_relay_fee)
            if journaled:
                self._save_soon()
        self.loaded = True
        self._start(self._keep_estimates())

    async def save(self) -> Path:
        """Write ``mempool.dat`` in Core's format (``savemempool``); its path.

        Raises:
            OSError: no room, or nothing is kept on disk; nothing is lost.
        """
        if self._disk is None:
            raise OSError("the mempool is not kept on disk (-persistmempool=0)")
        return await self._disk.save()

    async def close(self) -> None:
        """Save, and stop following the chain. What can't be saved is in the journal. Harmless twice."""
        if self._closed:
            return
        self._closed = True
        self._subscription.close()
        await self._reorganiser.close()
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        try:
            if self.loaded and self._disk is not None:
                await self._disk.save()
            self.estimator.close()
        except OSError as error:
            log.warning("the mempool could not be saved, and stays in its journal: %s", error)
        if self._disk is not None:
            self._disk.close()
        self._scripts.close()

    # inside

    def _added(self, entry: MempoolEntry) -> None:
        self._limits.added(entry)
        for listener in list(self._listeners):
            (listener.added if entry.sequence else listener.returned)(entry)

    def _removed(self, entry: MempoolEntry, reason: Removal) -> None:
        if reason is not Removal.BLOCK:
            self.estimator.left(entry.txid)
        for listener in list(self._listeners):
            listener.removed(entry, reason)

    def _changes(self) -> object:
        return (self._chain.tip.hash, self._store.updates, self._store.delta_changes)

    def _record(self, plan: Plan) -> None:
        if self._disk is not None:
            self._disk.record(plan)
            if self._disk.overgrown and self.loaded:
                self._save_soon()

    def _record_quietly(self, plan: Plan) -> None:
        """For what nobody waits for: a transaction of a disconnected block."""
        try:
            self._record(plan)
        except OSError as error:
            log.error("transactions that a reorganisation gave back could not be written down: %s", error)

    def _settled(self) -> None:
        """A block, or a reorganisation, has been dealt with by the chain."""
        if self._waiting_for_coins and self._chain.coins.available:
            self._waiting_for_coins = False
            self._start(self.load())

    def _trim(self) -> None:
        self._limits.apply(self._chain.clock.now())

    def _teaches(self, entry: MempoolEntry) -> bool:
        """Whether what becomes of it says something about fees (``IsCurrentForFeeEstimation``)."""
        chain = self._chain
        current = chain.tip.time >= chain.clock.now() - _ESTIMATION_TIP_AGE
        abreast = chain.tip.height >= chain.best_header.height - 1
        return current and abreast and not chain.initial_block_download and not entry.parents

    async def _take_back(self, incoming: Incoming) -> None:
        async with self._changing:
            await self._acceptance.single(incoming, _FROM_DISK)
            if incoming.unbroadcast:
                self.add_unbroadcast(incoming.txid)

    def _save_soon(self) -> None:
        if not any(task.get_name() == "save-mempool" for task in self._background):
            self._start(self._save_quietly(), "save-mempool")

    async def _save_quietly(self) -> None:
        try:
            await self.save()
        except OSError as error:
            log.error("the mempool could not be saved, and stays in its journal: %s", error)

    async def _keep_estimates(self) -> None:
        while True:
            await asyncio.sleep(_ESTIMATES_INTERVAL)
            try:
                self.estimator.save()
            except OSError as error:
                log.error("the fee estimates could not be saved: %s", error)

    def _start(self, coroutine: Any, name: str = "") -> None:
        task: asyncio.Task[None] = asyncio.create_task(coroutine, name=name or None)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
