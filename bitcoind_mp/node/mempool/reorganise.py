"""What a reorganisation does to the mempool: transactions of disconnected blocks come back, and what the new chain
makes impossible goes (Core's ``MaybeUpdateMempoolForReorg``, ``src/validation.cpp``).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from btclib.tx import Tx
from btclib.tx.limits import COINBASE_MATURITY, LOCKTIME_THRESHOLD

from .entry import MempoolEntry, Removal
from .plan import Plan, Planner
from .rejected import Rejected
from .rules import Incoming, Rules, Terms
from .scripts import Scripts
from .store import Store
from .trim import excess
from .view import ChainView

#: Transactions taken back at once when the new chain stands, some half a second's work; what is left of a long
#: reorganisation comes so many at a time, and everybody else has a turn in between.
AT_ONCE = 1000
AT_A_TIME = 50
#: Bytes of disconnected transactions kept at most; the newest go first (``MAX_DISCONNECTED_TX_POOL_BYTES``).
_MAX_BYTES = 20_000_000

FROM_BLOCK = Terms(bypass_limits=True)


class Reorganiser:
    """Collects what blocks give back, then puts it in.

    Args:
        record: writes a plan down before it is carried out.
        over: called when all is done.
    """

    def __init__(
        self,
        chain: ChainView,
        store: Store,
        rules: Rules,
        planner: Planner,
        scripts: Scripts,
        record: Callable[[Plan], None],
        over: Callable[[], None],
    ) -> None:
        self._chain = chain
        self._store = store
        self._rules = rules
        self._planner = planner
        self._scripts = scripts
        self._record = record
        self._over = over
        self._waiting: dict[bytes, Incoming] = {}
        self.at_once, self.at_a_time = AT_ONCE, AT_A_TIME
        self._links: list[tuple[MempoolEntry, MempoolEntry]] = []
        """Those that have come back, and the children that they had here already."""
        self._next: asyncio.Handle | None = None
        self._settled = asyncio.Event()
        self._settled.set()

    @property
    def pending(self) -> bool:
        """Whether a reorganisation is under way: the mempool may spend from what is neither there nor in the chain."""
        return not self._settled.is_set()

    async def settled(self) -> None:
        """Wait until none is. Nothing may come in before: what it would spend may be yet to return."""
        await self._settled.wait()

    def disconnected(self, transactions: Sequence[Tx], *, lost: bool = False) -> None:
        """The newest block's transactions, coinbase first. ``lost``: they aren't to come back."""
        self._settled.clear()
        self._pause()
        now = self._chain.clock.now()
        if lost:
            for tx in transactions:
                self._drop(Incoming.of(tx, now))
            return
        earlier = {each.txid: each for each in (Incoming.of(tx, now) for tx in transactions)}
        self._waiting = {**earlier, **self._waiting}
        size = sum(len(each.raw) for each in self._waiting.values())
        while size > _MAX_BYTES:
            _, dropped = self._waiting.popitem()
            size -= len(dropped.raw)
            self._drop(dropped)

    def connected(self, txids: Iterable[bytes]) -> None:
        """A block of the new chain has these."""
        if self._waiting:
            for txid in txids:
                self._waiting.pop(txid, None)

    def finish(self) -> None:
        """The new chain stands: take back what it lacks, drop what it forbids; now, or bit by bit from now on."""
        if self._next is None:
            self._go_on(self.at_once)

    async def close(self) -> None:
        """Do what is left."""
        while self.pending:
            self._go_on(self.at_a_time)
            await asyncio.sleep(0)

    def _go_on(self, count: int) -> None:
        self._pause()
        for txid in list(islice(self._waiting, count)):
            incoming = self._waiting.pop(txid)
            if incoming.tx.is_coinbase or not self._take_back(incoming):
                self._drop(incoming)
        if self._waiting:
            self._next = asyncio.get_running_loop().call_later(0, self._go_on, self.at_a_time)
            return
        self._adopt()
        self._store.remove(self._store.descendants(self._impossible()), Removal.REORG)
        self._settled.set()
        self._over()

    def _pause(self) -> None:
        """Until the chain stands again."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _take_back(self, incoming: Incoming) -> bool:
        try:
            plan = self._planner.single(incoming, FROM_BLOCK)
            self._scripts.check_confirmed(incoming.tx, incoming.wtxid, plan.candidates[0].spent)
        except Rejected:
            return False
        self._record(plan)
        entry = plan.candidates[0].entry
        self._store.apply(plan.staged, plan.evicted, [entry])
        for child in self._store.children_of(incoming.tx, incoming.txid) - entry.children:
            self._store.link(entry, child)
            self._links.append((entry, child))
        return True

    def _adopt(self) -> None:
        """Put what came back into one cluster with its children (``UpdateTransactionsFromBlock``)."""
        links: dict[MempoolEntry, set[MempoolEntry]] = {}
        for parent, child in self._links:
            if parent in child.parents and child in parent.children:  # both are still here
                links.setdefault(child, set()).add(parent)
        self._links.clear()
        gone = excess(links, self._store.clusters)
        # what goes takes its children to be with it: they are in `gone` too, for want of their parent
        for child, parents in links.items():
            for parent in parents - gone:
                if child not in gone:
                    self._store.adopt(parent, child)
        self._store.remove(gone, Removal.SIZELIMIT)

    def _drop(self, incoming: Incoming) -> None:
        """It isn't coming back: nor can what depends on it stay."""
        orphans = self._store.children_of(incoming.tx, incoming.txid)
        if (entry := self._store.entries.get(incoming.txid)) is not None:
            orphans.add(entry)
        self._store.remove(self._store.descendants(orphans), Removal.REORG)

    def _impossible(self) -> list[MempoolEntry]:
        """What couldn't be in the next block: not final, or spending an immature coinbase."""
        return [entry for entry in self._store.entries.values() if not self._possible(entry)]

    def _possible(self, entry: MempoolEntry) -> bool:
        tip = self._chain.tip
        cutoff = tip.height + 1 if entry.lock_time < LOCKTIME_THRESHOLD else tip.median_time
        if entry.lock_time and entry.lock_time >= cutoff:
            return False
        if not entry.relative_locks and not entry.spends_coinbase:
            return True
        coins = [coin for outpoint in entry.spends if (coin := self._rules.coin(outpoint)) is not None]
        if len(coins) != len(entry.spends):
            return False
        if any(coin.is_coinbase and tip.height + 1 - coin.height < COINBASE_MATURITY for coin in coins):
            return False
        try:
            self._rules.check_sequence_locks(entry.tx, coins)
        except Rejected:
            return False
        return True
