"""Passphrases that the owner's front end entrusted to the signer, each for one use that it named.

The front end gets a ticket for a passphrase, and gives that to the wallet in the passphrase's place; the wallet shows
it with its request, and never learns more. A ticket is good once, for a minute, and for nothing but what it was issued
for: a wallet that was broken into can't turn a word that unlocks into another passphrase, nor unlock for longer. Pure.

What doesn't belong: what wallets may ask (``counter.py``), the front end's command (``owner.py``).
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.signer import TICKET

#: Seconds that a ticket is good for: the wallet uses it at once.
_PATIENCE = 60.0
#: More at once than this are not kept: the oldest goes.
_MOST = 100


class Purpose(StrEnum):
    """What a passphrase may be used for."""

    UNLOCK = "unlock"
    CHANGE = "change"
    MAKE = "make"
    MOVE = "move"


@dataclass(frozen=True)
class Entrusted:
    """What one ticket, or one pair of them, stands for. ``about`` is the key set's id; of keys that are to be made or
    moved, the wallet's name. ``seconds``: for how long at most it unlocks. ``until``: when it is void (monotonic)."""

    purpose: Purpose
    about: str
    passphrase: str
    new: str = ""
    seconds: int = 0
    until: float = 0.0


class Tickets:
    """Those that are out. ``now`` is a monotonic clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._out: dict[str, Entrusted] = {}

    def issue(self, purpose: Purpose, about: str, passphrase: str, *, new: str = "", seconds: int = 0) -> str:
        """A ticket."""
        self._forget_old()
        while len(self._out) >= _MOST:
            del self._out[next(iter(self._out))]
        ticket = TICKET + secrets.token_hex(16)
        self._out[ticket] = Entrusted(purpose, about, passphrase, new, seconds, self._now() + _PATIENCE)
        return ticket

    def redeem(self, ticket: str, purpose: Purpose, about: str) -> Entrusted:
        """What it stands for, once. Raises `RpcError` -4 for one that isn't good for that: it is void then too."""
        self._forget_old()
        found = self._out.pop(ticket, None)
        if found is None or (found.purpose, found.about) != (purpose, about):
            raise RpcError(
                RpcCode.WALLET_ERROR,
                "The passphrase that the signer was told is not there (any more), or was told for something else: "
                "try again.",
            )
        return found

    def _forget_old(self) -> None:
        now = self._now()
        for ticket in [ticket for ticket, entrusted in self._out.items() if entrusted.until < now]:
            del self._out[ticket]
