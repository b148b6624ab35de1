"""What the supervisor asks a worker every few seconds, over the socket that its callers use."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from .command import interface_method


@dataclass(frozen=True)
class Health:
    """A worker's report on itself.

    ``status`` is one line for a person (``synced at height 112``). ``problems`` are sentences, empty when well.
    ``counters`` are numbers that a process may hide from the supervisor's psutil: ``open_files``, ``threads``,
    ``memory`` (resident bytes), ``cpu_ms``, ``read_bytes``, ``write_bytes``; and what else the worker counts. ``parts``
    are numbers of what it has several of, by name (a wallet's ``height``, and its ``lag`` in blocks). ``protections``
    are those that the kernel gives the worker, ``unprotected`` the ones that are missing (``-sandbox``).
    """

    status: str
    problems: list[str] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    parts: dict[str, dict[str, int]] = field(default_factory=dict)
    protections: list[str] = field(default_factory=list)
    unprotected: list[str] = field(default_factory=list)


class HealthCheck(ABC):
    """Answered by every worker, by the loop that serves callers."""

    @interface_method("health.check")
    @abstractmethod
    async def check(self) -> Health:
        """How the worker is. Cheap: no disk, no kernel thread."""
