"""What can happen to a unit, and what its step function may ask the loop to do. Values only."""

from dataclasses import dataclass
from signal import Signals

from bitcoind_mp.interfaces.journal import Event as LogEvent
from bitcoind_mp.interfaces.obstacle import Obstacle

from .policy import Exit, Policy

# -- what a person asked for ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StartRequested:
    """Be up."""


@dataclass(frozen=True)
class StopRequested:
    """Be down, and stay down."""


@dataclass(frozen=True)
class RestartRequested:
    """Be up, with a new process."""


@dataclass(frozen=True)
class ReloadRequested:
    """Read the configuration and open the logs again."""


@dataclass(frozen=True)
class PolicyChanged:
    """The configuration was read again. Deadlines already set stay as they are."""

    policy: Policy


# -- what happened to the process -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spawned:
    """The process that `Spawn` asked for exists."""

    pid: int


@dataclass(frozen=True)
class Adopted:
    """A process that an earlier supervisor left was found, and is not to stay. Any lifeline of it has ended."""

    pid: int


@dataclass(frozen=True)
class TakenOver:
    """A process that an earlier supervisor left was found at work, and is ours from now on. ``watchdog``: how often it
    gives a sign of life (seconds, 0 for never), as it was told at its start; None: it didn't say."""

    pid: int
    watchdog: float | None = None


@dataclass(frozen=True)
class Exited:
    """The process ended, or (`Exit.error`) could not be made."""

    exit: Exit


@dataclass(frozen=True)
class Tick:
    """Time has passed. One that comes early changes nothing.

    ``held_up``: for so many seconds past the deadline nobody looked, because the machine or we ourselves stood
    still. What a process would have said in that time can't be held against it.
    """

    held_up: float = 0.0


@dataclass(frozen=True)
class Unobstructed:
    """What was in the way of the next start, by `Look`, is gone; or nobody can tell."""


# -- what the process said on NOTIFY_SOCKET ---------------------------------------------------------------------


@dataclass(frozen=True)
class Ready:
    """READY=1: it serves callers; or the reload is done."""


@dataclass(frozen=True)
class Status:
    """STATUS=: what it is doing, for people."""

    text: str


@dataclass(frozen=True)
class ExtendTimeout:
    """EXTEND_TIMEOUT_USEC=: give me that many seconds from now."""

    seconds: float


@dataclass(frozen=True)
class WatchdogPing:
    """WATCHDOG=1: the loop that serves callers turns."""


@dataclass(frozen=True)
class WatchdogTrigger:
    """WATCHDOG=trigger: something is wrong, do as if the watchdog had run out."""


@dataclass(frozen=True)
class WatchdogInterval:
    """WATCHDOG_USEC=: from now on expect a sign of life that often (seconds, 0 for never)."""

    seconds: float


@dataclass(frozen=True)
class ReloadStarted:
    """RELOADING=1."""


@dataclass(frozen=True)
class StopStarted:
    """STOPPING=1: it is going down, asked or not."""


@dataclass(frozen=True)
class Flooded:
    """It says more than can be listened to; what it says from now on is lost."""


@dataclass(frozen=True)
class Obstructed:
    """X_OBSTACLE=: it is going to end, and that must be gone before another can do better."""

    obstacle: Obstacle


Event = (
    StartRequested
    | StopRequested
    | RestartRequested
    | ReloadRequested
    | PolicyChanged
    | Spawned
    | Adopted
    | TakenOver
    | Exited
    | Tick
    | Ready
    | Status
    | ExtendTimeout
    | WatchdogPing
    | WatchdogTrigger
    | WatchdogInterval
    | ReloadStarted
    | StopStarted
    | Flooded
    | Obstructed
    | Unobstructed
)

# -- what to do -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spawn:
    """Start the process, and tell `Spawned` or `Exited`. ``frugal``: it is to make do with less memory."""

    frugal: bool = False


@dataclass(frozen=True)
class Look:
    """Tell `Unobstructed` once that isn't in the way any more. Asked for again every now and then."""

    obstacle: Obstacle


@dataclass(frozen=True)
class Send:
    """Send the process a signal."""

    signal: Signals


@dataclass(frozen=True)
class KillGroup:
    """SIGKILL to the process and whatever it started."""


@dataclass(frozen=True)
class Log:
    """Write a line about the unit to the supervisor's log. ``level`` as in ``logging``; ``event`` is what it tells."""

    level: int
    text: str
    event: LogEvent | None = None


Action = Spawn | Look | Send | KillGroup | Log
