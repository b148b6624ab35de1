"""A coin that may be spent, with what spending it costs at the rates of the transaction being made.

What belongs here: `Candidate` (``COutput`` in Core's ``src/wallet/coinselection.h``). What doesn't: which coins a
wallet has (``../coins.py``, ``available.py``), choosing among them (``choose.py``).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bitcoind_mp.wallet.coins import OutPoint, OutputType

from .rates import SCALE, fee_for

_ORDER = {kind: number for number, kind in enumerate(OutputType)}


def type_order(kind: OutputType | None) -> int:
    """The place of an address type in Core's enumeration; scripts without a type come last."""
    return _ORDER[kind] if kind is not None else len(_ORDER)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One coin under consideration.

    ``amount`` is in satoshis; ``vsize`` is the input's size in virtual bytes when signed, -1 where unknown;
    ``depth`` is the number of confirmations, 0 for one in the mempool. ``fee`` is what the input costs at the
    transaction's rate with what its unconfirmed ancestors lack (``bump_fee``) included, ``long_term_fee`` what it
    would cost later at the consolidation rate. ``ancestors`` and ``cluster`` count the mempool transactions around
    it, its own included, and are 0 for a confirmed one.
    """

    outpoint: OutPoint
    amount: int
    script: bytes
    kind: OutputType | None
    depth: int
    vsize: int
    from_me: bool = False
    fee: int = 0
    long_term_fee: int = 0
    bump_fee: int = 0
    ancestors: int = 0
    cluster: int = 0

    @property
    def effective_value(self) -> int:
        """What the coin adds to a transaction after paying for its own input."""
        return self.amount - self.fee

    @property
    def weight(self) -> int:
        """The input's weight, virtual bytes rounded up first as Core does."""
        return max(self.vsize, 0) * SCALE

    def priced(self, rate: int, long_term_rate: int, bump_fee: int = 0) -> "Candidate":
        """The same coin with its fees at these rates (sat/kvB)."""
        vsize = max(self.vsize, 0)
        return replace(
            self,
            fee=fee_for(rate, vsize) + bump_fee,
            long_term_fee=fee_for(long_term_rate, vsize),
            bump_fee=bump_fee,
        )


def total_amount(coins: Iterable[Candidate], subtract_fee: bool) -> int:
    """What the coins are worth to the selection: their value where outputs pay the fee, else their effective value."""
    return sum(coin.amount if subtract_fee else coin.effective_value for coin in coins)
