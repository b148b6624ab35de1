"""What a failed start waits for, in the words it is told to the service manager. Waiting is the supervisor's part."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Obstacle:
    """What must be gone before a start can succeed. ``kind`` is "disk" (``amount`` bytes are to be free at the path
    ``what``), "lock" (of the file ``what``, by the process ``amount``, 0 for any) or "port" (``amount``, of the address
    ``what``)."""

    kind: str
    what: str
    amount: int = 0

    def __str__(self) -> str:
        """As it is told to the service manager, in `NOTIFICATION`."""
        return f"{self.kind} {self.amount} {self.what}"

    @classmethod
    def parse(cls, text: str) -> "Obstacle | None":
        """From what was told; None where it makes no sense."""
        kind, _, rest = text.partition(" ")
        amount, _, what = rest.partition(" ")
        if kind not in ("disk", "lock", "port") or not what or not amount.isdecimal() or len(amount) > 18:
            return None
        return cls(kind, what, int(amount))


#: The field of a notification that carries an `Obstacle` (sd_notify(3) leaves names that begin with X_ to others).
NOTIFICATION = "X_OBSTACLE"
