"""Making one signature: for real, from keys held, or a dummy of the right size (``BaseSignatureCreator``)."""

from collections.abc import Sequence
from typing import Protocol

from btclib.exceptions import BTClibValueError, ScriptError, ScriptErrorCode
from btclib.script import sig_hash
from btclib.script.engine import verify_input
from btclib.script.engine.flags import ScriptFlag
from btclib.script.sig_hash import PrecomputedTxData
from btclib.script.taproot import output_prvkey_from_merkle_root
from btclib.script.witness import Witness
from btclib.tx.tx import Tx
from btclib.tx.tx_out import TxOut
from btclib_secp256k1 import dsa, ssa
from btclib_wallet.descriptors import SpendContext

from bitcoind_mp.interfaces.amounts import MAX_MONEY

from .keystore import KeyStore

SIGHASH_DEFAULT, SIGHASH_ALL, SIGHASH_NONE, SIGHASH_SINGLE, SIGHASH_ANYONECANPAY = 0, 1, 2, 3, 0x80
#: what a transaction must keep to be relayed (``STANDARD_SCRIPT_VERIFY_FLAGS``, Core's ``src/policy/policy.h``)
STANDARD_FLAGS = ~ScriptFlag.SIGPUSHONLY
_LAST_CODESEPARATOR = b"\xff\xff\xff\xff"


class Creator(Protocol):
    """Signs, or pretends to. A signature that can't be made is b""."""

    def ecdsa(self, keys: KeyStore, sec: bytes, script_code: bytes, *, segwit: bool) -> bytes:
        """A DER signature with its hash type."""

    def schnorr(
        self, keys: KeyStore, x_only: bytes, *, leaf_hash: bytes = b"", merkle_root: bytes | None = None
    ) -> bytes:
        """A BIP340 signature; ``merkle_root`` not None tweaks the key first (b"" for a key without a tree)."""

    def schnorr_hash(self, leaf_hash: bytes = b"") -> bytes:
        """What a BIP340 signature signs; b"" where that isn't known."""

    @property
    def hash_type_suffix(self) -> bytes:
        """What follows a BIP340 signature."""

    @property
    def times(self) -> SpendContext:
        """The lock times of the transaction, for miniscript's ``after`` and ``older``."""

    def verify(self, script_sig: bytes, witness: list[bytes]) -> ScriptErrorCode | None:
        """Why this does not satisfy the output, None if it does."""


class TransactionCreator:
    """Signs one input of a transaction.

    ``spent`` are the outputs that the inputs spend, None for each unknown one. Taproot commits to all of them, and
    signs only where all are known. ``hash_type`` DEFAULT stands for ALL outside taproot. ``hashes`` saves the work
    that all inputs have in common (`shared_hashes`).
    """

    def __init__(
        self,
        tx: Tx,
        index: int,
        spent: list[TxOut | None],
        hash_type: int = SIGHASH_ALL,
        hashes: PrecomputedTxData | None = None,
    ) -> None:
        self._tx = tx
        self._index = index
        self._hash_type = hash_type
        self._complete = None not in spent
        self._spent = or_blank(spent)
        self._hashes = hashes
        self._amount = self._spent[index].value

    @property
    def times(self) -> SpendContext:
        return SpendContext(
            locktime=self._tx.lock_time, sequence=self._tx.vin[self._index].sequence, version=self._tx.version
        )

    def ecdsa(self, keys: KeyStore, sec: bytes, script_code: bytes, *, segwit: bool) -> bytes:
        secret = keys.secrets.get(sec)
        # an uncompressed key has no place in a witness script, and a witness signature commits to the amount
        if secret is None or (segwit and (len(sec) != 33 or not 0 <= self._amount <= MAX_MONEY)):
            return b""
        hash_type = self._hash_type or SIGHASH_ALL
        return dsa.sign(self.ecdsa_hash(script_code, hash_type, segwit=segwit), secret, grind=True) + bytes([hash_type])

    def ecdsa_hash(self, script_code: bytes, hash_type: int, *, segwit: bool) -> bytes:
        """What an ECDSA signature of that type signs."""
        if segwit:
            return sig_hash.segwit_v0(script_code, self._tx, self._index, hash_type, self._amount, self._hashes)
        return sig_hash.legacy(script_code, self._tx, self._index, hash_type)

    def is_signature_of(self, signature: bytes, sec: bytes, script_code: bytes, *, segwit: bool) -> bool:
        """Whether this is an ECDSA signature of the input by that key."""
        if not signature:
            return False
        message = self.ecdsa_hash(script_code, signature[-1], segwit=segwit)
        try:
            return dsa.verify(message, sec, signature[:-1], normalize=True)
        except ValueError:  # not a signature, or not a key, at all
            return False

    def schnorr(
        self, keys: KeyStore, x_only: bytes, *, leaf_hash: bytes = b"", merkle_root: bytes | None = None
    ) -> bytes:
        secret = keys.secret_by_x_only(x_only)
        message = b"" if secret is None else self.schnorr_hash(leaf_hash)
        if secret is None or not message:
            return b""
        key: bytes | int = secret
        if merkle_root is not None:
            key = output_prvkey_from_merkle_root(int.from_bytes(secret, "big"), merkle_root)
        return ssa.sign(message, key, bytes(32)) + self.hash_type_suffix

    def schnorr_hash(self, leaf_hash: bytes = b"") -> bytes:
        if not self._complete:
            return b""
        extension = leaf_hash + b"\x00" + _LAST_CODESEPARATOR if leaf_hash else b""
        try:
            return sig_hash.taproot(
                self._tx, self._index, self._spent, self._hash_type, int(bool(leaf_hash)), b"", extension, self._hashes
            )
        except BTClibValueError:  # SINGLE without an output of that index
            return b""

    @property
    def hash_type_suffix(self) -> bytes:
        return bytes([self._hash_type]) if self._hash_type else b""

    def verify(self, script_sig: bytes, witness: list[bytes]) -> ScriptErrorCode | None:
        return verify_spend(self._tx, self._index, self._spent, script_sig, witness, self._hashes)[0]


class _AnyTime(SpendContext):
    """Every lock time is met."""

    def _after(self, value: int) -> bool:
        return True

    def _older(self, value: int) -> bool:
        return True


class DummyCreator:
    """Signatures of the usual size that nobody could make, to measure a transaction by: one for every key."""

    def ecdsa(self, keys: KeyStore, sec: bytes, script_code: bytes, *, segwit: bool) -> bytes:
        return b"\x30\x44\x02\x20\x01" + bytes(31) + b"\x02\x20\x01" + bytes(31) + bytes([SIGHASH_ALL])

    def schnorr(
        self, keys: KeyStore, x_only: bytes, *, leaf_hash: bytes = b"", merkle_root: bytes | None = None
    ) -> bytes:
        return bytes(64)

    def schnorr_hash(self, leaf_hash: bytes = b"") -> bytes:
        return b""

    @property
    def hash_type_suffix(self) -> bytes:
        return b""

    @property
    def times(self) -> SpendContext:
        return _AnyTime()

    def verify(self, script_sig: bytes, witness: list[bytes]) -> ScriptErrorCode | None:
        return None


def or_blank(spent: Sequence[TxOut | None]) -> list[TxOut]:
    """These outputs, with an empty one for each that isn't known."""
    return [TxOut(0, b"", check_validity=False) if output is None else output for output in spent]


def shared_hashes(tx: Tx, spent: Sequence[TxOut | None]) -> PrecomputedTxData:
    """What the signatures of all inputs hash: computed for each anew, it costs the square of their number.

    It stays true while scriptSigs and witnesses change, and nothing else of the transaction.
    """
    return PrecomputedTxData(tx, or_blank(spent))


def verify_spend(
    tx: Tx,
    index: int,
    spent: list[TxOut],
    script_sig: bytes,
    witness: list[bytes],
    hashes: PrecomputedTxData | None = None,
) -> tuple[ScriptErrorCode | None, list[tuple[bytes, bytes]]]:
    """Whether an input's scriptSig and witness spend its output under the rules of relay: the error, None if they do,
    and the (key, signature) pairs of the ECDSA checks that succeeded on the way."""

    tx_in = tx.vin[index]
    before = tx_in.script_sig, tx_in.script_witness
    signatures: list[tuple[bytes, bytes]] = []
    tx_in.script_sig, tx_in.script_witness = script_sig, Witness(witness)
    try:
        verify_input(spent, tx, index, STANDARD_FLAGS, hashes, signatures=signatures)
    except ScriptError as error:
        return error.code, signatures
    except BTClibValueError:
        return ScriptErrorCode.UNKNOWN_ERROR, signatures
    finally:
        tx_in.script_sig, tx_in.script_witness = before
    return None, signatures
