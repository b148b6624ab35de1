"""What a PSBT would spend of a key set's, worked out from what can't be lied about. Pure.

The wallet's word counts for nothing here: an input or output is ours if its script derives from our own descriptor, an
amount is that of the previous transaction whose hash the input names, or one that the signature itself commits to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from btclib.script.script_pub_key import is_p2tr
from btclib.tx import OutPoint, TxOut
from btclib_wallet.bip32.key_origin import BIP32KeyOrigin
from btclib_wallet.psbt import Psbt, PsbtIn, PsbtOut

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.address import encode_address
from bitcoind_mp.signing.creator import SIGHASH_ALL, SIGHASH_DEFAULT
from bitcoind_mp.signing.psbt import is_signed, utxos_of

from .keyset import OwnScripts, Place


@dataclass(frozen=True)
class Payment:
    """An output that isn't ours. ``name`` is its address, or its script in hex where it has none."""

    script: bytes
    amount: int
    name: str


@dataclass(frozen=True)
class OwnInput:
    """An input of ours: its number, the place of the address that it spends from, what it spends."""

    index: int
    place: Place
    outpoint: bytes
    amount: int


@dataclass(frozen=True)
class Spending:
    """A transaction as its owner sees it. ``tx`` names the unsigned transaction; ``amount`` is what leaves us, fee and
    all: our inputs, those too that were signed before, less what comes back to us."""

    tx: bytes
    inputs: tuple[OwnInput, ...]
    payments: tuple[Payment, ...]
    amount: int


def transaction_name(psbt: Psbt) -> bytes:
    """The same for all signatures that can end up in one transaction, and for no others."""
    return sha256(psbt.tx.serialize(include_witness=False, check_validity=False)).digest()


def examine(psbt: Psbt, own: OwnScripts, chain: str, before: Mapping[bytes, int]) -> Spending:
    """What signing for ``own`` would let go. ``before``: the inputs of this very transaction that were signed earlier,
    outpoint to amount. They count: else a thief could have each input signed as if it were the only one, and the same
    change be set off against each of them.

    Raises:
        RpcError: -25 for an amount that nothing vouches for, -4 for a signature that wouldn't bind the whole.
    """
    outputs = psbt.tx.vout
    utxos = utxos_of(psbt)
    inputs = [
        found
        for index, psbt_in in enumerate(psbt.inputs)
        if not is_signed(psbt_in) and (found := _own_input(psbt_in, index, utxos[index], own)) is not None
    ]
    payments, returned = [], 0
    for output, psbt_out in zip(outputs, psbt.outputs, strict=True):
        script = output.script_pub_key.script
        if own.find(script, origins_of(psbt_out)) is None:
            payments.append(Payment(script, output.value, encode_address(script, chain) or script.hex()))
        else:
            returned += output.value
    spent = {**before, **{one.outpoint: one.amount for one in inputs}}
    amount = max(sum(spent.values()) - returned, 0)
    return Spending(transaction_name(psbt), tuple(inputs), tuple(payments), amount)


def _own_input(psbt_in: PsbtIn, index: int, utxo: TxOut | None, own: OwnScripts) -> OwnInput | None:
    claimed = utxo or psbt_in.witness_utxo
    if claimed is None:
        return None
    script = claimed.script_pub_key.script
    place = own.find(script, origins_of(psbt_in))
    if place is None:
        return None
    taproot = is_p2tr(script)
    if utxo is None or (not taproot and psbt_in.non_witness_utxo is None):
        raise RpcError(
            RpcCode.VERIFY_ERROR,
            f"Input {index}: the signer needs the whole previous transaction (non_witness_utxo), else it can't know "
            "the amount.",
        )
    whole = (None, SIGHASH_DEFAULT, SIGHASH_ALL) if taproot else (None, SIGHASH_ALL)
    if psbt_in.sig_hash_type not in whole:
        raise RpcError(
            RpcCode.WALLET_ERROR,
            f"Input {index}: the signer signs whole transactions only (sighash ALL or DEFAULT): another signature "
            "could be put to another use than what its policy was asked about.",
        )
    return OwnInput(index, place, _outpoint(psbt_in.prev_out), utxo.value)


def origins_of(part: PsbtIn | PsbtOut) -> Sequence[BIP32KeyOrigin]:
    """The origins of all keys that an input or output names."""
    return [*part.hd_key_paths.values(), *(origin for _, origin in part.taproot_hd_key_paths.values())]


def _outpoint(prev_out: OutPoint) -> bytes:
    return prev_out.tx_id + prev_out.vout.to_bytes(4, "big")
