"""BIP9 signalling: which deployments a chain has, and how far each has come (Core's ``src/versionbits.cpp``).

Core v31 has one left, ``testdummy``, which only regtest ever starts. Its state decides a new block's version bits and
shows in `getdeploymentinfo` and `getblocktemplate`.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from .chain.header import BlockNode

_TOP_BITS, _TOP_MASK = 0x20000000, 0xE0000000
_NO_TIMEOUT = (1 << 63) - 1


class State(StrEnum):
    """``ThresholdState``"""

    DEFINED = "defined"
    STARTED = "started"
    LOCKED_IN = "locked_in"
    ACTIVE = "active"
    FAILED = "failed"


@dataclass(frozen=True)
class Deployment:
    """One rule that miners signal for. Times are median times past, in seconds."""

    name: str
    bit: int
    start_time: int
    period: int
    threshold: int
    timeout: int = _NO_TIMEOUT
    min_activation_height: int = 0

    @property
    def mask(self) -> int:
        return 1 << self.bit


_TESTDUMMY = Deployment("testdummy", 28, 0, 144, 108)


@dataclass(frozen=True)
class Statistics:
    """How the signalling goes in the period of a block: ``signals`` from the period's first block on."""

    elapsed: int
    count: int
    possible: bool
    signals: list[bool]


@dataclass
class VersionBits:
    """The deployments of one chain (Core's name), with what has been computed remembered for each block's period."""

    chain: str
    _known: dict[tuple[str, bytes], State] = field(default_factory=dict)

    @property
    def deployments(self) -> list[Deployment]:
        return [_TESTDUMMY] if self.chain == "regtest" else []

    def block_version(self, tip: BlockNode) -> int:
        """The version of a block on ``tip`` that signals for all that can be signalled for."""
        version = _TOP_BITS
        for deployment in self.deployments:
            if self.state_after(deployment, tip) in (State.STARTED, State.LOCKED_IN):
                version |= deployment.mask
        return version

    def state_after(self, deployment: Deployment, node: BlockNode | None) -> State:
        """The state for the block that follows ``node`` (None: for genesis)."""
        last = self._period_end(deployment, node)
        pending: list[BlockNode] = []
        state = State.DEFINED
        while last is not None:
            known = self._known.get((deployment.name, last.hash))
            if known is not None:
                state = known
                break
            if last.median_time < deployment.start_time:
                break
            pending.append(last)
            last = _ancestor(last, last.height - deployment.period)
        while pending:
            last = pending.pop()
            state = self._next(deployment, state, last)
            self._known[deployment.name, last.hash] = state
        return state

    def since(self, deployment: Deployment, node: BlockNode | None) -> int:
        """The height of the first block of the state that holds after ``node``."""
        state = self.state_after(deployment, node)
        if state is State.DEFINED:
            return 0
        last = self._period_end(deployment, node)
        assert last is not None
        while True:
            before = _ancestor(last, last.height - deployment.period)
            if before is None or self.state_after(deployment, before) is not state:
                return last.height + 1
            last = before

    def statistics(self, deployment: Deployment, node: BlockNode) -> Statistics:
        """How many blocks of the period of ``node``, up to it, signal."""
        signals = []
        walk: BlockNode | None = node
        for _ in range(1 + node.height % deployment.period):
            assert walk is not None
            signals.append(_signals(deployment, walk))
            walk = walk.previous
        signals.reverse()
        count = sum(signals)
        possible = deployment.period - deployment.threshold >= len(signals) - count
        return Statistics(len(signals), count, possible, signals)

    @staticmethod
    def _period_end(deployment: Deployment, node: BlockNode | None) -> BlockNode | None:
        """The last block of the last whole period up to ``node``."""
        return None if node is None else _ancestor(node, node.height - (node.height + 1) % deployment.period)

    @staticmethod
    def _next(deployment: Deployment, state: State, last: BlockNode) -> State:
        """The state of the period after ``last``, from the state of the period that it ends."""
        if state is State.DEFINED and last.median_time >= deployment.start_time:
            return State.STARTED
        if state is State.STARTED:
            count = 0
            walk: BlockNode | None = last
            for _ in range(deployment.period):
                assert walk is not None
                count += _signals(deployment, walk)
                walk = walk.previous
            if count >= deployment.threshold:
                return State.LOCKED_IN
            return State.FAILED if last.median_time >= deployment.timeout else state
        if state is State.LOCKED_IN and last.height + 1 >= deployment.min_activation_height:
            return State.ACTIVE
        return state


def _signals(deployment: Deployment, node: BlockNode) -> bool:
    return node.version & 0xFFFFFFFF & _TOP_MASK == _TOP_BITS and bool(node.version & deployment.mask)


def _ancestor(node: BlockNode, height: int) -> BlockNode | None:
    """By parents alone: at most a period away, and cheap there."""
    if height < 0:
        return None
    walk: BlockNode | None = node
    while walk is not None and walk.height > height:
        walk = walk.previous
    return walk
