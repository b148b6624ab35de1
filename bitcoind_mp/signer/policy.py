"""What the owner allows to be spent without being asked. Pure.

What doesn't belong: working out what a transaction spends (``spending.py``), asking the owner (``requests.py``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bitcoind_mp.interfaces.amounts import COIN

from .spending import Spending

#: The window of the daily limit, in seconds.
DAY = 24 * 60 * 60


class Confirm(StrEnum):
    """-signerconfirm: never ask and refuse what is beyond the limits, ask for that, or ask for every signature."""

    NEVER = "never"
    BEYOND = "beyond"
    ALWAYS = "always"


@dataclass(frozen=True)
class Policy:
    """The owner's limits. ``max_tx`` and ``max_day`` in satoshis, None for no limit; ``allowed`` are the scripts that
    may be paid, with their addresses, None for all."""

    max_tx: int | None = None
    max_day: int | None = None
    allowed: Mapping[bytes, str] | None = None
    confirm: Confirm = Confirm.NEVER

    def objections(self, spending: Spending, today: int) -> list[str]:
        """What is against it, in words for the owner. ``today``: what goes out within 24 hours once it is signed."""
        found = []
        if self.max_tx is not None and spending.amount > self.max_tx:
            found.append(f"it spends {_coins(spending.amount)}, more than -signermaxtx={_coins(self.max_tx)}")
        if self.max_day is not None and today > self.max_day:
            found.append(
                f"with it {_coins(today)} would be spent in 24 hours, more than -signermaxday={_coins(self.max_day)}"
            )
        if self.allowed is not None:
            strange = [payment for payment in spending.payments if payment.script not in self.allowed]
            if strange:
                names = ", ".join(payment.name for payment in strange)
                found.append(f"it pays to {names}, which no -signerallow names")
        return found


def _coins(amount: int) -> str:
    return f"{amount // COIN}.{amount % COIN:08d}"
