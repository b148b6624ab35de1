"""The value types that the wallet's parts hand one another: outpoints, owners, coins, balances.

What doesn't belong: how they are found (``balances.py``) or stored (``ledger.py``).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

#: An amount no transaction reaches: Core's default upper bounds.
NO_LIMIT = 21_000_000 * 100_000_000
#: Core's default for "any number of confirmations" (``DEFAULT_MAX_DEPTH``).
MAX_DEPTH = 9_999_999


class OutPoint(NamedTuple):
    """An output by name: the txid in the order it is printed, and the output's number."""

    txid: bytes
    n: int

    def __str__(self) -> str:
        return f"{self.txid.hex()}:{self.n}"


@dataclass(frozen=True, slots=True)
class Owner:
    """Where a script of ours comes from: the descriptor's number in the ledger, and the index in its range."""

    descriptor: int
    index: int


class OutputType(StrEnum):
    """Core's names for the address types (``-addresstype``, ``getnewaddress``)."""

    LEGACY = "legacy"
    P2SH_SEGWIT = "p2sh-segwit"
    BECH32 = "bech32"
    BECH32M = "bech32m"


@dataclass(frozen=True, slots=True)
class Coin:
    """An unspent output of the wallet's (``COutput``, Core's ``src/wallet/coinselection.h``).

    ``amount`` in satoshis; ``script`` is its scriptPubKey; ``depth`` its confirmations, 0 while it waits in the
    mempool; ``time`` its transaction's, in seconds; ``type`` the address type of its script, None for one that has
    none (bare multisig, pay to pubkey). ``from_me``: a transaction of ours made it. ``trusted``: confirmed, or our
    own and all its unconfirmed parents too. ``safe``: what a payment may spend by default. ``solvable``: we know how
    it is signed. ``spendable``: we may sign it, locked or not. ``change``: no address that we handed out.
    ``reused``: its address has been spent from before (meaningful in ``avoid_reuse`` wallets).
    """

    outpoint: OutPoint
    amount: int
    script: bytes
    owner: Owner
    depth: int
    time: int
    type: OutputType | None
    from_me: bool
    trusted: bool
    safe: bool
    solvable: bool
    spendable: bool
    change: bool
    reused: bool
    coinbase: bool
    version: int
    """The version of the transaction that made it (3: TRUC rules hold while it is unconfirmed)."""


@dataclass(frozen=True)
class CoinFilter:
    """Which coins are asked for (``CoinFilterParams`` and ``CCoinControl``'s part in ``AvailableCoins``)."""

    min_depth: int = 0
    max_depth: int = MAX_DEPTH
    min_amount: int = 1
    max_amount: int = NO_LIMIT
    min_sum: int = NO_LIMIT
    max_count: int = 0
    """Stop after so many coins; 0 for no limit."""
    include_unsafe: bool = True
    include_immature: bool = False
    include_locked: bool = False
    include_reused: bool = True
    version: int | None = None
    """Spend rules of this transaction version: with 3 only TRUC coins may be unconfirmed, without it none of them."""


@dataclass(frozen=True)
class Balance:
    """What the wallet holds, in satoshis (``Balance``, Core's ``src/wallet/receive.h``).

    ``used`` is what lies on reused addresses, kept apart in ``avoid_reuse`` wallets. ``nonmempool`` is what
    transactions of ours that aren't in the mempool would spend: zero or less.
    """

    trusted: int = 0
    pending: int = 0
    immature: int = 0
    used: int = 0
    nonmempool: int = 0
