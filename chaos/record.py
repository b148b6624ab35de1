"""What the clients were told: the oracle of every check. Filled by many threads."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum


class Outcome(StrEnum):
    """What its caller knows of a payment."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Payment:
    """One attempt to pay an address that no other payment was ever given."""

    address: str
    label: str
    payer: str
    payee: str
    amount: Decimal
    outcome: Outcome
    txid: str = ""
    said: str = ""
    """The refusal, or how the outcome got lost."""


@dataclass(frozen=True)
class Failure:
    """A call that didn't succeed: by which front end, and how."""

    front_end: str
    how: str


@dataclass
class Record:
    """``unexpected`` are failures that no fault accounts for."""

    payments: list[Payment] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    failures: Counter[Failure] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def paid(self, payment: Payment) -> None:
        with self._lock:
            self.payments.append(payment)

    def mined(self, hashes: list[str]) -> None:
        with self._lock:
            self.blocks += hashes

    def called(self, front_end: str) -> None:
        with self._lock:
            self.calls[front_end] += 1

    def failed(self, front_end: str, how: str) -> None:
        with self._lock:
            self.failures[Failure(front_end, how)] += 1

    def not_accounted_for(self, what: str) -> None:
        with self._lock:
            self.unexpected.append(what)

    def count(self, outcome: Outcome) -> int:
        with self._lock:
            return sum(payment.outcome is outcome for payment in self.payments)
