"""`decodescript` (``src/rpc/rawtransaction.cpp``)."""

import asyncio
from typing import Any

from btclib.hashes import hash160
from btclib.script.script import op_code_spans
from btclib.script.solver import solver
from btclib.script.spendability import is_unspendable
from btclib_wallet.descriptors import Provider

from bitcoind_mp.interfaces.command import command, parse_hex
from bitcoind_mp.render.address import encode_address
from bitcoind_mp.render.script import script_json
from bitcoind_mp.render.transaction import has_valid_ops
from bitcoind_mp.signing.produce import witness_script_of

_OP_CHECKSIGADD = 0xBA
_LONG = 10_000
"""Bytes of a script that are decoded at once: as many as a script that is run may have."""
_WRAPPABLE = (
    "multisig",
    "nonstandard",
    "pubkey",
    "pubkeyhash",
    "witness_v0_keyhash",
    "witness_v0_scripthash",
)


class ScriptCommands:
    """``chain`` is Core's name of the network."""

    def __init__(self, chain: str) -> None:
        self._chain = chain

    @command("rawtransactions")
    async def decodescript(self, hexstring: str) -> dict[str, Any]:
        """Decodes a script, and shows the addresses that would wrap it.

        Args:
            hexstring: The script in hex; may be empty

        Returns:
            The script in words, its descriptor, type and address; p2sh, the address that wraps it; segwit, the
            witness program that wraps it with its own p2sh-segwit address
        """
        script = parse_hex(hexstring, "argument") if hexstring else b""
        # Core sets no bound, and a megabyte takes half a second.
        return self._decoded(script) if len(script) <= _LONG else await asyncio.to_thread(self._decoded, script)

    def _decoded(self, script: bytes) -> dict[str, Any]:
        result = script_json(script, self._chain, with_hex=False)
        kind, solutions = solver(script)
        if not _can_wrap(kind, script):
            return result
        result["p2sh"] = self._p2sh(script)
        if kind in ("witness_v0_keyhash", "witness_v0_scripthash"):
            return result
        if kind in ("multisig", "pubkey") and any(len(one) not in (1, 33) for one in solutions):
            return result
        provider = Provider()
        if kind in ("pubkey", "pubkeyhash"):
            program = b"\x00\x14" + (hash160(solutions[0]) if kind == "pubkey" else solutions[0])
        else:
            program = witness_script_of(script)
            provider = Provider(scripts=(script,))
        segwit = script_json(program, self._chain, provider=provider)
        segwit["p2sh-segwit"] = self._p2sh(program)
        result["segwit"] = segwit
        return result

    def _p2sh(self, script: bytes) -> str:
        address = encode_address(b"\xa9\x14" + hash160(script) + b"\x87", self._chain)
        assert address is not None
        return address


def _can_wrap(kind: str, script: bytes) -> bool:
    """Whether a P2SH around it could be spent: what is standard bare or only valid in tapscript can't or shouldn't."""
    if kind not in _WRAPPABLE or not has_valid_ops(script) or is_unspendable(script):
        return False
    return not any(op == _OP_CHECKSIGADD or _is_op_success(op) for op, _, _ in op_code_spans(script))


def _is_op_success(op: int) -> bool:
    """``IsOpSuccess``, BIP342"""
    return (
        op in (80, 98)
        or 126 <= op <= 129
        or 131 <= op <= 134
        or 137 <= op <= 138
        or 141 <= op <= 142
        or 149 <= op <= 153
        or 187 <= op <= 254
    )
