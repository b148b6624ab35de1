"""The transaction that pays the miner (BIP34, BIP141), as Bitcoin Core makes it (``src/node/miner.cpp``)."""

from collections.abc import Sequence

from btclib.block.block import bip34_commitment
from btclib.hashes import hash256, merkle_root_and_mutated_from_hashes
from btclib.script.witness import Witness
from btclib.tx import OutPoint, Tx, TxIn, TxOut

#: The witness of every coinbase, and the coinbase's place among the witness hashes.
_ZERO = b"\x00" * 32
_COMMITMENT = b"\x6a\x24\xaa\x21\xa9\xed"
#: Lets the lock time count.
_SEQUENCE = 0xFFFFFFFE
_VERSION = 2
#: An extra nonce that is none: a script of at least two bytes at every height.
_EXTRA_NONCE = b"\x00"


def commitment_script(wtxids: Sequence[bytes]) -> bytes:
    """The output script that commits to the witnesses of a block with these transactions after its coinbase (wtxids in
    display order)."""
    return _COMMITMENT + hash256(merkle_root([_ZERO, *wtxids])[::-1] + _ZERO)


def coinbase(height: int, value: int, script: bytes, commitment: bytes | None) -> Tx:
    """The coinbase of a block at ``height``, paying ``value`` satoshis to ``script``. ``commitment`` is None where
    segwit isn't active."""
    outputs = [TxOut(value, script)]
    witness = Witness()
    if commitment is not None:
        outputs.append(TxOut(0, commitment))
        witness = Witness([_ZERO])
    tx_in = TxIn(OutPoint(), bip34_commitment(height) + _EXTRA_NONCE, _SEQUENCE, witness)
    return Tx(_VERSION, height - 1, [tx_in], outputs)


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    """Of hashes in display order; in display order too."""
    root, _ = merkle_root_and_mutated_from_hashes([each[::-1] for each in hashes], hash256)
    return root[::-1]
