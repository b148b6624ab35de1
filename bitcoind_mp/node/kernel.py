"""Bitcoin Core's consensus and storage, through py-bitcoinkernel. The only file that imports ``pbk``.

Everything of `Kernel` belongs to one thread (``chain/worker.py``) and blocks; the calls release the GIL. What the
kernel tells comes on that thread, from inside a call, as events of ``kernel_values.py``. What any of it means for
the node is ``chain/``'s business.

The bindings' own conversions copy byte by byte in Python (70 ms for a block of 0.8 MB): here the C functions get
the buffer itself (2.7 ms).
"""

import contextlib
import ctypes
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pbk
import pbk.capi.bindings as capi
from btclib.script.script_pub_key import ScriptPubKey
from btclib.tx.coin import Coin
from btclib.tx.tx import Tx
from btclib.tx.tx_out import TxOut
from pbk.capi.library import BITCOINKERNEL_LIB
from pbk.notifications import NotificationInterfaceCallbacks
from pbk.script import PrecomputedTransactionData

from .kernel_exports import Exports, NotExported
from .kernel_log import KernelLog
from .kernel_values import (
    Connected,
    Disconnected,
    Failed,
    Indexed,
    Invalidated,
    KernelError,
    KernelEvent,
    KernelOptions,
    NotABlock,
    Reconsidered,
    Refused,
    TipChanged,
    Verdict,
    Warned,
)

log = logging.getLogger("bitcoind_mp.kernel")

_CHAIN_TYPES = {
    "main": pbk.ChainType.MAINNET,
    "test": pbk.ChainType.TESTNET,
    "testnet4": pbk.ChainType.TESTNET_4,
    "signet": pbk.ChainType.SIGNET,
    "regtest": pbk.ChainType.REGTEST,
}
_VALID = 0
_INVALID = 1
_MUTATED = 4
_ALL_CONSENSUS_FLAGS = int(pbk.ScriptVerificationFlags.ALL)
_exports = Exports(BITCOINKERNEL_LIB)
_log = KernelLog()


class Kernel:
    """One open data directory.

    Args:
        chain: Core's name of the network.
        directory: what holds ``blocks/`` and ``chainstate/``.
        emit: called on this thread with what happens, in order, from inside the call that makes it happen.
        options: where something is to be wiped, it has been rebuilt when the constructor returns.

    Raises:
        KernelError: it can't be opened.
    """

    def __init__(
        self,
        chain: str,
        directory: Path,
        emit: Callable[[KernelEvent], None],
        options: KernelOptions = KernelOptions(),  # noqa: B008 (frozen)
    ) -> None:
        self._emit = emit
        self._offered: tuple[bytes, bytes] | None = None
        self._invalidating = False
        self._checked: dict[bytes, bool] = {}
        self._chunks: list[bytes] = []
        self._write = capi.btck_WriteBytes(self._on_bytes)
        self._manager: pbk.ChainstateManager | None = None
        _log_connection()
        context_options = pbk.ContextOptions()
        context_options.set_chainparams(pbk.ChainParameters(_CHAIN_TYPES[chain]))
        context_options.set_notifications(self._notifications())
        context_options.set_validation_interface(self._validation())
        self._context = pbk.Context(context_options)
        manager_options = pbk.ChainstateManagerOptions(self._context, str(directory), str(directory / "blocks"))
        manager_options.set_worker_threads_num(options.workers)
        wipe = options.wipe_index or options.wipe_coins
        if wipe:
            manager_options.set_wipe_dbs(options.wipe_index, True)
        _log.forget()
        try:
            self._manager = pbk.ChainstateManager(manager_options)
        except RuntimeError:
            raise KernelError(_log.errors or "the kernel would not open the data directory") from None
        if wipe:
            self._manager.import_blocks([])

    def close(self) -> None:
        """Write everything to disk and let the data directory go. Harmless twice."""
        if self._manager is not None:
            manager, self._manager = self._manager, None
            manager.__exit__(None, None, None)

    def interrupt(self) -> None:
        """Make a long call return early. May be called from any thread; the kernel must be closed next."""
        self._context.interrupt()

    # --- blocks ---------------------------------------------------------------------------------------------

    def process_block(self, raw: bytes, hash: bytes) -> Verdict:
        """Check, store and connect a block. ``hash`` is its own, in display order.

        Raises:
            NotABlock: it can't be decoded.
        """
        handle = capi.btck_block_create(raw, len(raw))
        if not handle:
            raise NotABlock("Block decode failed")
        block = pbk.Block._from_handle(handle)
        self._offered = (hash, raw)
        self._checked.pop(hash, None)
        _log.forget()
        is_new = ctypes.c_int(0)
        try:
            result = capi.btck_chainstate_manager_process_block(self._open, block, ctypes.byref(is_new))
        finally:
            self._offered = None
        checked = self._checked.pop(hash, None)
        self._checked.clear()
        reason, detail = _log.why() if checked is False or result else ("", "")
        return Verdict(
            ok=result == 0 and checked is not False,
            new=bool(is_new.value),
            indexed=self._entry(hash) is not None,
            checked=checked is not None,
            reason=reason,
            detail=detail,
        )

    def process_header(self, header: bytes, hash: bytes) -> Verdict:
        """Check one header of 80 bytes and add it to the index."""
        handle = capi.btck_block_header_create(header, len(header))
        if not handle:
            return Verdict(ok=False, new=False, indexed=False, checked=True, reason="bad-header")
        known = self._entry(hash) is not None
        state = pbk.BlockValidationState()
        _log.forget()
        result = capi.btck_chainstate_manager_process_block_header(
            self._open, pbk.BlockHeader._from_handle(handle), state
        )
        if result == 0:
            return Verdict(ok=True, new=not known, indexed=True, checked=True)
        reason, detail = _log.why()
        return Verdict(ok=False, new=False, indexed=known, checked=True, reason=reason or "rejected", detail=detail)

    def invalidate(self, hash: bytes) -> None:
        """Mark a block as invalid, disconnect it, and connect the best branch without it. Nothing happens to genesis.

        Raises:
            KernelError: no such block, it failed half way, or this build can't.
        """
        state, entry = pbk.BlockValidationState(), self._required_entry(hash)
        with _explaining():
            self._invalidating = True
            try:
                done = _exports.invalidate_block(self._handle, state._as_parameter_, entry)
            finally:
                self._invalidating = False
            if done:
                self._emit(Invalidated(hash))
            self._activate(state)

    def reconsider(self, hash: bytes) -> None:
        """Forget what is held against a block, its ancestors and what builds on it, and connect the best branch.

        Raises:
            KernelError: no such block, it failed half way, or this build can't.
        """
        entry = self._required_entry(hash)
        with _explaining():
            _exports.reset_block_failure_flags(self._handle, entry)
            self._emit(Reconsidered(hash))
            self._activate(pbk.BlockValidationState())

    def prefer(self, hash: bytes) -> None:
        """Treat a block as if it had come before any other of its work.

        Raises:
            KernelError: no such block, it failed half way, or this build can't.
        """
        state, entry = pbk.BlockValidationState(), self._required_entry(hash)
        with _explaining():
            _exports.precious_block(self._handle, state._as_parameter_, entry)
            _require_valid(state)

    def read_block(self, hash: bytes) -> bytes | None:
        """The raw block, through the kernel: slow (90 ms a megabyte); ``chain/blockfiles.py`` reads the files."""
        entry = self._entry(hash)
        handle = capi.btck_block_read(self._open, entry) if entry is not None else None
        if not handle:
            return None
        block = pbk.Block._from_handle(handle)
        self._chunks.clear()
        capi.btck_block_to_bytes(block, self._write, None)
        return b"".join(self._chunks)

    def read_undo(self, hash: bytes) -> list[list[Coin]] | None:
        """The coins that each transaction but the coinbase spent, in input order; None where there are none stored."""
        entry = self._entry(hash)
        handle = capi.btck_block_spent_outputs_read(self._open, entry) if entry is not None else None
        if not handle:
            return None
        undo = pbk.BlockSpentOutputs._from_handle(handle)
        spent = []
        for index in range(capi.btck_block_spent_outputs_count(undo)):
            of_tx = capi.btck_block_spent_outputs_get_transaction_spent_outputs_at(undo, index)
            count = capi.btck_transaction_spent_outputs_count(of_tx)
            spent.append([self._coin(capi.btck_transaction_spent_outputs_get_coin_at(of_tx, i)) for i in range(count)])
        return spent

    def _coin(self, coin: object) -> Coin:
        output = capi.btck_coin_get_output(coin)
        self._chunks.clear()
        capi.btck_script_pubkey_to_bytes(capi.btck_transaction_output_get_script_pubkey(output), self._write, None)
        script = ScriptPubKey(b"".join(self._chunks), check_validity=False)
        value = capi.btck_transaction_output_get_amount(output)
        height = capi.btck_coin_confirmation_height(coin)
        tx_out = TxOut(value, script, check_validity=False)
        return Coin(tx_out, height, bool(capi.btck_coin_is_coinbase(coin)), check_validity=False)

    # --- inside ---------------------------------------------------------------------------------------------

    @property
    def _open(self) -> pbk.ChainstateManager:
        if self._manager is None:
            raise KernelError("the kernel is closed")
        return self._manager

    @property
    def _handle(self) -> object:
        return self._open._as_parameter_

    def _activate(self, state: pbk.BlockValidationState) -> None:
        _require_valid(state)
        _exports.activate_best_chain(self._handle, state._as_parameter_)
        _require_valid(state)

    def _required_entry(self, hash: bytes) -> object:
        entry = self._entry(hash)
        if entry is None:
            raise KernelError(f"the kernel doesn't know block {hash.hex()}")
        return entry

    def _entry(self, hash: bytes) -> object | None:
        name = pbk.BlockHash(hash[::-1])
        return capi.btck_chainstate_manager_get_block_tree_entry_by_hash(self._open, name) or None

    @staticmethod
    def _hash_of(entry: object) -> bytes:
        buffer = (ctypes.c_ubyte * 32)()
        capi.btck_block_hash_to_bytes(capi.btck_block_tree_entry_get_block_hash(entry), buffer)
        return bytes(buffer)[::-1]

    @staticmethod
    def _header_of(block: pbk.Block) -> bytes:
        header = pbk.BlockHeader._from_handle(capi.btck_block_get_header(block))
        buffer = (ctypes.c_ubyte * 80)()
        capi.btck_block_header_to_bytes(header, buffer)
        return bytes(buffer)

    def _on_bytes(self, pointer: int, size: int, user_data: object) -> int:
        self._chunks.append(ctypes.string_at(pointer, size))
        return 0

    def _validation(self) -> pbk.ValidationInterfaceCallbacks:
        def connected(user_data: object, block: pbk.Block, entry: pbk.BlockTreeEntry) -> None:
            hash = self._hash_of(entry)
            raw = self._offered[1] if self._offered is not None and self._offered[0] == hash else None
            self._emit(Connected(hash, self._header_of(block), capi.btck_block_count_transactions(block), raw))

        def disconnected(user_data: object, block: object, entry: pbk.BlockTreeEntry) -> None:
            hash = self._hash_of(entry)
            spent = self.read_undo(hash) if self._manager is not None else None
            self._emit(Disconnected(hash, spent, self._invalidating))

        def checked(user_data: object, block: pbk.Block, state: pbk.BlockValidationState) -> None:
            hash = bytes(block.block_hash)[::-1]
            invalid = state.validation_mode == _INVALID
            self._checked[hash] = not invalid
            if not invalid or state.block_validation_result == _MUTATED:
                return
            if self._manager is None or self._entry(hash) is not None:
                self._emit(Refused(hash, self._header_of(block)))

        return pbk.ValidationInterfaceCallbacks(
            block_connected=self._guarded(connected),
            block_disconnected=self._guarded(disconnected),
            block_checked=self._guarded(checked),
        )

    def _notifications(self) -> NotificationInterfaceCallbacks:
        def tip(user_data: object, state: int, entry: object, progress: float) -> None:
            self._emit(TipChanged(self._hash_of(entry)))

        def header(user_data: object, state: int, height: int, timestamp: int, presync: int) -> None:
            if self._offered is not None:
                self._emit(Indexed([(self._offered[0], self._offered[1][:80])]))

        def warn(user_data: object, kind: int, message: int, size: int) -> None:
            self._emit(Warned(kind, ctypes.string_at(message, size).decode()))

        def unwarn(user_data: object, kind: int) -> None:
            self._emit(Warned(kind, None))

        def fatal(user_data: object, message: int, size: int) -> None:
            self._emit(Failed(ctypes.string_at(message, size).decode()))

        return NotificationInterfaceCallbacks(
            block_tip=self._guarded(tip),
            header_tip=self._guarded(header),
            warning_set=self._guarded(warn),
            warning_unset=self._guarded(unwarn),
            flush_error=self._guarded(fatal),
            fatal_error=self._guarded(fatal),
        )

    def _guarded(self, tell: Callable[..., None]) -> Callable[..., None]:
        """A callback that can't fail unnoticed: ctypes drops what it raises, and the node would go on without what it
        was to be told."""

        def guarded(*arguments: object) -> None:
            try:
                tell(*arguments)
            except Exception as error:
                log.exception("what the kernel told was lost")
                self._emit(Failed(f"what it told ({tell.__name__}) was lost: {error}"))

        return guarded


@cache
def _log_connection() -> pbk.LoggingConnection:
    """Takes the library's log, once for the process."""
    pbk.log.logging_set_options(pbk.LoggingOptions(log_timestamps=False, always_print_category_levels=True))
    pbk.log.set_log_level_category(pbk.LogCategory.ALL, pbk.LogLevel.DEBUG)
    pbk.log.enable_log_category(pbk.LogCategory.VALIDATION)
    return pbk.LoggingConnection(_log.line)


@contextlib.contextmanager
def _explaining() -> Iterator[None]:
    """What is said in here belongs to one call, and a function that the library lacks is the kernel's failure."""
    _log.forget()
    try:
        yield
    except NotExported as error:
        raise KernelError(str(error)) from None


def _require_valid(state: pbk.BlockValidationState) -> None:
    if state.validation_mode != _VALID:
        raise KernelError(_log.errors or "the kernel could not do it")


def set_mock_time(timestamp: int) -> bool:
    """Set the kernel's clock (seconds since 1970, 0: the real one); False where this build doesn't export it."""
    try:
        _exports.set_mock_time(timestamp)
    except NotExported:
        return False
    return True


def verify_scripts(tx: Tx, raw: bytes, spent: Sequence[TxOut]) -> int | None:
    """Check each input's script against the output it spends, with all consensus rules on.

    ``raw`` is the transaction with witnesses. Returns the index of the first input that fails, None if none does.
    May be called on any thread, and with no kernel open.
    """
    handle = capi.btck_transaction_create(raw, len(raw))
    if not handle:
        return 0
    transaction = pbk.Transaction._from_handle(handle)
    scripts, outputs = [], []
    for out in spent:
        program = out.script_pub_key.script
        script = pbk.ScriptPubkey._from_handle(capi.btck_script_pubkey_create(program, len(program)))
        scripts.append(script)
        outputs.append(pbk.TransactionOutput(script, out.value))
    prepared = PrecomputedTransactionData(transaction, outputs)
    for index, out in enumerate(spent):
        status = ctypes.c_ubyte(0)
        good = capi.btck_script_pubkey_verify(
            scripts[index], out.value, transaction, prepared, index, _ALL_CONSENSUS_FLAGS, ctypes.byref(status)
        )
        if good != 1:
            return index
    return None
