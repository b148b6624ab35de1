"""What a person asks of one transaction beyond whom to pay: Core's ``CCoinControl`` and ``CRecipient``.

What doesn't belong: reading these from a call's parameters (``../rpc/``).
"""

from dataclasses import dataclass, field, replace
from enum import Enum

from bitcoind_mp.signing.keystore import KeyStore
from bitcoind_mp.wallet.coins import MAX_DEPTH, OutPoint, OutputType


class FeeMode(Enum):
    UNSET = "unset"
    ECONOMICAL = "economical"
    CONSERVATIVE = "conservative"


@dataclass(frozen=True)
class Recipient:
    """A payment: ``amount`` satoshis to ``script``. ``subtract_fee``: it bears its share of the fee."""

    script: bytes
    amount: int
    subtract_fee: bool = False


@dataclass(frozen=True)
class Preset:
    """An input that must be spent. ``amount`` and ``script`` are given for one that isn't the wallet's.

    ``weight`` overrides what its size is taken to be; ``position`` orders the inputs; the rest goes into the
    transaction as it is.
    """

    position: int | None = None
    amount: int | None = None
    script: bytes = b""
    weight: int | None = None
    sequence: int | None = None
    script_sig: bytes = b""
    witness: tuple[bytes, ...] = ()

    @property
    def is_external(self) -> bool:
        return self.amount is not None


@dataclass
class CoinControl:
    """The choices for one transaction. None stands for the wallet's own. Rates in sat/kvB, weights in weight units.

    ``override_min_rate``: ``rate`` is taken even where it is below what the node relays. ``external``: keys and scripts
    that tell the size of inputs that aren't the wallet's.
    """

    change_script: bytes | None = None
    change_type: OutputType | None = None
    include_unsafe: bool = False
    allow_other_inputs: bool = True
    rate: int | None = None
    override_min_rate: bool = False
    confirm_target: int | None = None
    fee_mode: FeeMode = FeeMode.UNSET
    signal_rbf: bool | None = None
    avoid_partial_spends: bool = False
    avoid_reuse: bool = False
    min_depth: int = 0
    max_depth: int = MAX_DEPTH
    version: int = 2
    locktime: int | None = None
    max_weight: int | None = None
    external: KeyStore = field(default_factory=KeyStore)
    presets: dict[OutPoint, Preset] = field(default_factory=dict)
    _selected: int = 0

    def select(self, outpoint: OutPoint, **known: object) -> None:
        """Spend that output, in the order of these calls; ``known`` are fields of `Preset`."""
        preset = self.presets.get(outpoint, Preset())
        self.presets[outpoint] = replace(preset, position=self._selected, **known)  # type: ignore[arg-type]
        self._selected += 1

    def set_weight(self, outpoint: OutPoint, weight: int) -> None:
        """Take that input to be so heavy. It is spent even if it was not selected, as in Core."""
        self.presets[outpoint] = replace(self.presets.get(outpoint, Preset()), weight=weight)

    @property
    def is_ordered(self) -> bool:
        """Whether presets come before the other inputs, in their order."""
        return self._selected > 0

    def copy(self) -> "CoinControl":
        """One that may be changed without changing this."""
        return replace(self, presets=dict(self.presets))
