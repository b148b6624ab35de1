"""How large an input will be once it is signed: the largest satisfaction of its script.

Core's ``MaxSatisfactionWeight`` and ``MaxSatisfactionElems`` (``src/script/descriptor.cpp``), asked of the script
itself and what is known of its keys and scripts, and ``MaxInputWeight``, ``CalculateMaximumSignedTxSize``
(``src/wallet/spend.cpp``). ECDSA signatures are taken to be ground to 71 bytes, as we sign, unless ``max_signature``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from btclib.exceptions import BTClibValueError
from btclib.hashes import hash160, ripemd160
from btclib.script.script_pub_key import is_segwit
from btclib.script.solver import solver
from btclib_wallet.descriptors import miniscript

from bitcoind_mp.signing.keystore import KeyStore

from .rates import SCALE, compact_size, output_size, vsize_of

#: A signature and its hash type: ground to a low R, as large as a low-S one gets, and Schnorr's.
_LOW_R, _HIGH_R, _SCHNORR = 71, 72, 65
#: Outpoint, sequence: the bytes of an input beside its script and their length.
_INPUT_BASE = 32 + 4 + 4


class Satisfaction(NamedTuple):
    """What spending a script adds at most: ``weight`` of its scriptSig or witness without the length or count in front,
    ``elements`` pushed, and whether they go into the witness."""

    weight: int
    elements: int
    segwit: bool

    def input_weight(self, tx_is_segwit: bool) -> int:
        """The weight of the whole input; one without a witness still counts its witness's in a segwit transaction."""
        length = 1 if self.segwit else compact_size(self.weight // SCALE)
        witness = compact_size(self.elements) if self.segwit else int(tx_is_segwit)
        return (_INPUT_BASE + length) * SCALE + witness + self.weight


class _Stack(NamedTuple):
    """What satisfies a script that may be inside another: bytes pushed, elements, and the script's size."""

    size: int
    elements: int
    script_size: int


def satisfaction(script: bytes, known: KeyStore, *, max_signature: bool = False) -> Satisfaction | None:
    """The largest satisfaction of an output script, None where what is ``known`` doesn't suffice to solve it."""
    kind, solutions = solver(script)
    if kind == "witness_v1_taproot":
        # As Core: by the key path, whether or not there are scripts.
        return Satisfaction(1 + _SCHNORR, 1, True)
    if kind == "scripthash":
        return _embedded(known.scripts.get(solutions[0]), known, max_signature)
    if kind in ("witness_v0_keyhash", "witness_v0_scripthash"):
        inner = _witness(script, known, max_signature)
        return inner and Satisfaction(inner.size, inner.elements, True)
    inner = _legacy(script, known, max_signature)
    return inner and Satisfaction(inner.size * SCALE, inner.elements, False)


def _embedded(redeem: bytes | None, known: KeyStore, max_signature: bool) -> Satisfaction | None:
    if redeem is None:
        return None
    segwit = solver(redeem)[0] in ("witness_v0_keyhash", "witness_v0_scripthash")
    inner = _witness(redeem, known, max_signature) if segwit else _legacy(redeem, known, max_signature)
    if inner is None:
        return None
    # The push of the redeem script is never witness data.
    weight = (1 + inner.script_size) * SCALE + inner.size * (1 if segwit else SCALE)
    return Satisfaction(weight, 1 + inner.elements, segwit)


def _witness(script: bytes, known: KeyStore, max_signature: bool) -> _Stack | None:
    kind, solutions = solver(script)
    if kind == "witness_v0_keyhash":
        sec = known.by_hash(solutions[0])
        signature = _HIGH_R if max_signature else _LOW_R
        return _Stack(1 + signature + 1 + 33, 2, len(script)) if sec and len(sec) == 33 else None
    witness_script = known.scripts.get(ripemd160(solutions[0]))
    if witness_script is None:
        return None
    inner = _legacy(witness_script, known, max_signature, segwit=True) or _miniscript(witness_script, known)
    if inner is None:
        return None
    size = compact_size(inner.script_size) + inner.script_size + inner.size
    return _Stack(size, 1 + inner.elements, len(script))


def _legacy(script: bytes, known: KeyStore, max_signature: bool, *, segwit: bool = False) -> _Stack | None:
    """The kinds of script that are satisfied by signatures and keys alone. An uncompressed key is no use in segwit."""
    signature = _HIGH_R if max_signature else _LOW_R
    kind, solutions = solver(script)
    if kind == "pubkey" and _usable(solutions[0], segwit):
        return _Stack(1 + signature, 1, len(script))
    if kind == "pubkeyhash":
        sec = known.by_hash(solutions[0])
        if sec and _usable(sec, segwit):
            return _Stack(1 + signature + 1 + len(sec), 2, len(script))
    if kind == "multisig" and all(_usable(sec, segwit) for sec in solutions[1:-1]):
        required = solutions[0][0]
        return _Stack(1 + (1 + signature) * required, 1 + required, len(script))
    return None


def _usable(sec: bytes, segwit: bool) -> bool:
    return len(sec) == 33 or not segwit


def _miniscript(script: bytes, known: KeyStore) -> _Stack | None:
    """Any other witness script, if it is sane miniscript. Core counts 72 bytes for each signature here."""
    try:
        node = miniscript.from_script(script, miniscript.P2WSH, {hash160(sec): sec for sec in known.origins})
    except BTClibValueError:
        return None
    size, elements = node.max_witness_size, node.max_stack_items
    if size is None or elements is None or not node.is_sane():
        return None
    return _Stack(size, elements, len(script))


@dataclass(frozen=True)
class TxSize:
    """A transaction's size once it is signed."""

    weight: int

    @property
    def vsize(self) -> int:
        """Virtual bytes."""
        return vsize_of(self.weight)


@dataclass(frozen=True)
class InputSize:
    """What is known of one input's size: its script's satisfaction, or the weight that a person gave."""

    script: bytes
    satisfaction: Satisfaction | None
    weight: int | None = None

    @property
    def segwit(self) -> bool:
        """Whether it will have a witness, as far as can be told."""
        return self.satisfaction.segwit if self.satisfaction else is_segwit(self.script)

    def weigh(self, tx_is_segwit: bool) -> int | None:
        if self.weight is not None:
            return self.weight
        return self.satisfaction.input_weight(tx_is_segwit) if self.satisfaction else None


def transaction_size(inputs: Sequence[InputSize], output_scripts: Iterable[bytes]) -> TxSize | None:
    """The size of a transaction when signed, None where an input's cannot be told."""
    scripts = list(output_scripts)
    segwit = any(size.segwit for size in inputs)
    weight = (8 + compact_size(len(inputs)) + compact_size(len(scripts))) * SCALE + (2 if segwit else 0)
    weight += sum(output_size(script) for script in scripts) * SCALE
    for size in inputs:
        input_weight = size.weigh(segwit)
        if input_weight is None:
            return None
        weight += input_weight
    return TxSize(weight)
