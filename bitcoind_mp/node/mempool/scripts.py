"""Whether a transaction's scripts let it spend what it spends: the relay rules by btclib's engine, then consensus by
the kernel, off the loop, each transaction once.

What belongs here: flags, Core's words for a failure, the worker thread and the cache of what has passed. What
doesn't: any other rule.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from btclib.exceptions import BTClibException, ScriptError, ScriptErrorCode
from btclib.policy import spends_non_anchor_witness_prog
from btclib.script.engine import ScriptFlag, verify_input
from btclib.script.sig_hash import PrecomputedTxData
from btclib.tx import Tx
from btclib.tx.tx_out import TxOut
from ecc.exceptions import EccException

from .rejected import Kind, Rejected
from .view import ScriptVerifier

#: Core's ``STANDARD_SCRIPT_VERIFY_FLAGS``: every rule but SIGPUSHONLY, which standardness asks for itself.
STANDARD_FLAGS = ~ScriptFlag.SIGPUSHONLY

#: Passed transactions remembered, at 200 bytes each: twenty full blocks' worth.
_CACHE_SIZE = 50_000


class Scripts:
    """The script checks. ``close`` ends its thread."""

    def __init__(self, verify: ScriptVerifier) -> None:
        self._verify = verify
        self._passed: OrderedDict[bytes, None] = OrderedDict()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="scripts")

    def passed(self, wtxid: bytes) -> bool:
        """Whether this transaction has passed before. Its id names the outputs it spends, so they are the same."""
        return wtxid in self._passed

    async def check(self, tx: Tx, raw: bytes, wtxid: bytes, spent: Sequence[TxOut]) -> None:
        """Raise `Rejected` unless every input is valid and standard."""
        if not self.passed(wtxid):
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._worker, self._check, tx, raw, wtxid, spent)
            self._remember(wtxid)

    def check_confirmed(self, tx: Tx, wtxid: bytes, spent: Sequence[TxOut]) -> None:
        """At once, for a transaction of a block that the kernel had connected: its relay rules alone."""
        if not self.passed(wtxid):
            check_policy(tx, wtxid, spent)
            self._remember(wtxid)

    def close(self) -> None:
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _check(self, tx: Tx, raw: bytes, wtxid: bytes, spent: Sequence[TxOut]) -> None:
        """The kernel first, which takes a hundredth of the time: what no block may hold is soon refused, and only what
        is wrong with the one input is asked of the engine, for the kernel doesn't say."""
        index = self._verify(tx, raw, spent)
        check_policy(tx, wtxid, spent, only=index)
        if index is not None:
            raise _failure("block", ScriptErrorCode.UNKNOWN_ERROR, tx, wtxid, index, Kind.CONSENSUS)

    def _remember(self, wtxid: bytes) -> None:
        self._passed[wtxid] = None
        if len(self._passed) > _CACHE_SIZE:
            self._passed.popitem(last=False)


def check_policy(
    tx: Tx, wtxid: bytes, spent: Sequence[TxOut], flags: ScriptFlag = STANDARD_FLAGS, *, only: int | None = None
) -> None:
    """Run every input, or ``only`` one, under the flags (``CheckInputScripts``, Core's ``src/validation.cpp``).

    Raises:
        Rejected: ``mempool-script-verify-flag-failed (…)`` with Core's text for the script error.
    """
    prevouts = list(spent)
    precomputed = PrecomputedTxData(tx, prevouts)
    for index in range(len(prevouts)) if only is None else (only,):
        try:
            verify_input(prevouts, tx, index, flags, precomputed)
        except ScriptError as error:
            code = error.code
        except (BTClibException, EccException):
            code = ScriptErrorCode.UNKNOWN_ERROR
        else:
            continue
        stripped = not tx.is_segwit and spends_non_anchor_witness_prog(prevouts, tx)
        kind = Kind.WITNESS_STRIPPED if stripped else Kind.NOT_STANDARD
        raise _failure("mempool", code, tx, wtxid, index, kind)


def _failure(whose: str, code: ScriptErrorCode, tx: Tx, wtxid: bytes, index: int, kind: Kind) -> Rejected:
    prev_out = tx.vin[index].prev_out
    return Rejected(
        f"{whose}-script-verify-flag-failed ({code.description})",
        f"input {index} of {tx.id.hex()} (wtxid {wtxid.hex()}), spending {prev_out.tx_id.hex()}:{prev_out.vout}",
        kind,
    )
