"""The signatures and scripts an input already carries (``DataFromTransaction``, Core's ``src/script/sign.cpp``)."""

from btclib.script.script import op_code_spans
from btclib.script.sig_hash import PrecomputedTxData
from btclib.script.solver import solver
from btclib.tx.tx import Tx
from btclib.tx.tx_out import TxOut

from .creator import TransactionCreator, or_blank, verify_spend
from .data import SignatureData


def data_of_input(
    tx: Tx, index: int, spent: list[TxOut | None], hashes: PrecomputedTxData | None = None
) -> SignatureData:
    """An input's signatures and scripts, whether it is complete or half signed. ``spent[index]`` must be known."""
    tx_in = tx.vin[index]
    output = spent[index]
    assert output is not None
    data = SignatureData(script_sig=tx_in.script_sig, script_witness=list(tx_in.script_witness.stack))
    error, signatures = verify_spend(tx, index, or_blank(spent), data.script_sig, data.script_witness, hashes)
    for sec, signature in signatures:
        data.add_signature(sec, signature)
    if error is None:
        data.complete = True
        return data
    script, segwit = output.script_pub_key.script, False
    stack = _pushed(data.script_sig)
    kind, solutions = solver(script)
    if kind == "scripthash" and stack and stack[-1]:
        script = data.redeem_script = stack.pop()
        kind, solutions = solver(script)
    if kind == "witness_v0_scripthash" and data.script_witness and data.script_witness[-1]:
        script = data.witness_script = data.script_witness[-1]
        kind, solutions = solver(script)
        stack, segwit = data.script_witness[:-1], True
    if kind == "multisig":
        creator = TransactionCreator(tx, index, spent, hashes=hashes)
        secs = solutions[1:-1]
        start = 0
        for signature in stack:
            for i in range(start, len(secs)):
                if creator.is_signature_of(signature, secs[i], script, segwit=segwit):
                    data.add_signature(secs[i], signature)
                    start = i + 1
                    break
    return data


def _pushed(script_sig: bytes) -> list[bytes]:
    """The values that a script pushes, up to its first op code that is not a push."""
    values = []
    for op_code, start, stop in op_code_spans(script_sig):
        if op_code <= 0x4E:
            header = 1 + {0x4C: 1, 0x4D: 2, 0x4E: 4}.get(op_code, 0)
            values.append(script_sig[start + header : stop])
        elif op_code == 0x4F:
            values.append(b"\x81")
        elif 0x51 <= op_code <= 0x60:
            values.append(bytes([op_code - 0x50]))
        else:
            break
    return values
