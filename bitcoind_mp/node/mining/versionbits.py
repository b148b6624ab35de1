"""Which soft forks blocks signal for, and how far each has come (BIP9; Core's ``src/versionbits.cpp``).

The one deployment that today's rules leave to signals is the test's, on regtest.
"""

from dataclasses import dataclass
from enum import StrEnum

from bitcoind_mp.node.mempool.view import BlockView, ChainView

_TOP_BITS = 0x20000000
_TOP_MASK = 0xE0000000
NO_TIMEOUT = (1 << 63) - 1


class State(StrEnum):
    """Core's words (``StateName``)."""

    DEFINED = "defined"
    STARTED = "started"
    LOCKED_IN = "locked_in"
    ACTIVE = "active"
    FAILED = "failed"


@dataclass(frozen=True)
class Deployment:
    """A soft fork by signals. Times in seconds since 1970, ``period`` and ``threshold`` in blocks."""

    name: str
    bit: int
    start_time: int
    timeout: int
    min_activation_height: int
    threshold: int
    period: int

    def signalled(self, version: int) -> bool:
        """Whether a block of that version asks for it."""
        return version & _TOP_MASK == _TOP_BITS and bool(version >> self.bit & 1)


_DEPLOYMENTS = {"regtest": (Deployment("testdummy", 28, 0, NO_TIMEOUT, 0, 108, 144),)}


def deployments(network: str) -> tuple[Deployment, ...]:
    """Those of the network of that name (Core's word) that may still change their state."""
    return _DEPLOYMENTS.get(network, ())


def state(deployment: Deployment, chain: ChainView, height: int) -> State:
    """Its state for the best chain's block at ``height``, which may be the next one (``GetStateFor``)."""
    found = State.DEFINED
    # the state changes with the first block of a period, by what the period before it shows
    for end in range(deployment.period - 1, height, deployment.period):
        last = chain.by_height(end)
        if last is None or found in (State.ACTIVE, State.FAILED):
            break
        found = _next(found, deployment, chain, last)
    return found


def since(deployment: Deployment, chain: ChainView, height: int) -> int:
    """The height of the first block of the state that it has at ``height`` (``GetStateSinceHeightFor``)."""
    start = height - height % deployment.period
    now = state(deployment, chain, height)
    while start and state(deployment, chain, start - deployment.period) is now:
        start -= deployment.period
    return start


def _next(now: State, deployment: Deployment, chain: ChainView, last: BlockView) -> State:
    if now is State.DEFINED and last.median_time >= deployment.start_time:
        return State.STARTED
    if now is State.STARTED:
        heights = range(last.height - deployment.period + 1, last.height + 1)
        blocks = [block for height in heights if (block := chain.by_height(height)) is not None]
        if sum(deployment.signalled(block.version) for block in blocks) >= deployment.threshold:
            return State.LOCKED_IN
        if last.median_time >= deployment.timeout:
            return State.FAILED
    if now is State.LOCKED_IN and last.height + 1 >= deployment.min_activation_height:
        return State.ACTIVE
    return now


def block_version(chain: ChainView) -> int:
    """The version of a block on the tip: it asks for what is started or locked in (``ComputeBlockVersion``)."""
    version = _TOP_BITS
    for deployment in deployments(chain.params.name):
        if state(deployment, chain, chain.tip.height + 1) in (State.STARTED, State.LOCKED_IN):
            version |= 1 << deployment.bit
    return version
