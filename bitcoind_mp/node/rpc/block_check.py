"""Whether a block would be valid on the tip, its proof of work apart, without giving it to the kernel
(``TestBlockValidity``, Core's ``src/validation.cpp``): for block proposals and `generateblock`.

The kernel has no such call. What is asked here are btclib's rules and the kernel's script check, in Core's order and
words; a block that is really submitted is judged by the kernel alone.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from btclib.block.block import Block, bip34_commitment, merkle_root_and_mutated_from_transactions
from btclib.block.limits import MAX_BLOCK_SIGOPS_COST, MAX_TIMEWARP
from btclib.consensus import MAX_BLOCK_WEIGHT, WITNESS_SCALE_FACTOR, subsidy
from btclib.exceptions import BTClibValueError, ScriptError, ScriptErrorCode
from btclib.script.engine import sig_op_cost, verify_input
from btclib.script.engine.flags import ScriptFlag
from btclib.tx.coin import Coin
from btclib.tx.limits import LOCKTIME_THRESHOLD, SEQUENCE_FINAL
from btclib.tx.tx import Tx
from btclib.tx.tx_context import assert_sequence_locks
from btclib.tx.tx_out import TxOut

from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.node.mempool.rejected import Rejected
from bitcoind_mp.node.mempool.transaction import check_transaction, fee_of
from bitcoind_mp.node.mempool.view import ScriptVerifier
from bitcoind_mp.node.mining.work import next_bits

_MAX_FUTURE = 2 * 60 * 60
_WITNESS_COMMITMENT = b"\x6a\x24\xaa\x21\xa9\xed"
OutPoint = tuple[bytes, int]


@dataclass(frozen=True)
class Fault:
    """The rule that a block breaks: Core's reject reason and debug message."""

    reason: str
    details: str = ""

    def __str__(self) -> str:
        return f"{self.reason}, {self.details}" if self.details else self.reason


class _Broken(Exception):
    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(reason)
        self.fault = Fault(reason, details)


async def check_block(
    chain: ChainState, raw: bytes, verify: ScriptVerifier, *, merkle_root: bool = True
) -> Fault | None:
    """What is wrong with the block, None if nothing is. Without ``merkle_root`` the header's root isn't looked at."""
    try:
        await _Check(chain, raw, verify).run(merkle_root=merkle_root)
    except _Broken as broken:
        return broken.fault
    return None


class _Check:
    def __init__(self, chain: ChainState, raw: bytes, verify: ScriptVerifier) -> None:
        self._chain = chain
        self._verify = verify
        self._header = raw[:80]
        self._block = Block.parse(raw, check_validity=False)
        self._txs: Sequence[Tx] = self._block.transactions
        self._height = chain.height + 1
        self._consensus = chain.params.consensus
        self._spent: dict[OutPoint, Coin | None] = {}

    async def run(self, *, merkle_root: bool) -> None:
        if self._header[35:3:-1] != self._chain.tip.hash:
            raise _Broken("inconclusive-not-best-prevblk")
        if merkle_root:
            self._check_merkle_root()
        self._check_contents()
        self._check_header()
        self._check_in_context()
        await self._check_connecting()

    def _check_merkle_root(self) -> None:
        root, mutated = merkle_root_and_mutated_from_transactions(self._txs)
        if root != self._header[67:35:-1]:
            raise _Broken("bad-txnmrklroot", "hashMerkleRoot mismatch")
        if mutated:
            raise _Broken("bad-txns-duplicate", "duplicate transaction")

    def _check_contents(self) -> None:
        """``CheckBlock``"""
        limit = MAX_BLOCK_WEIGHT // WITNESS_SCALE_FACTOR
        if not self._txs or len(self._txs) > limit or self._block.stripped_size > limit:
            raise _Broken("bad-blk-length", "size limits failed")
        if not self._txs[0].is_coinbase:
            raise _Broken("bad-cb-missing", "first tx is not coinbase")
        if any(tx.is_coinbase for tx in self._txs[1:]):
            raise _Broken("bad-cb-multiple", "more than one coinbase")
        for tx in self._txs:
            try:
                check_transaction(tx, (tx.weight - tx.size) // 3)
            except Rejected as rejected:
                details = f"Transaction check failed (tx hash {tx.id.hex()}) {rejected.details}"
                raise _Broken(rejected.reason, details) from None
        if sum(tx.sig_op_count for tx in self._txs) * WITNESS_SCALE_FACTOR > MAX_BLOCK_SIGOPS_COST:
            raise _Broken("bad-blk-sigops", "out-of-bounds SigOpCount")

    def _check_header(self) -> None:
        """``ContextualCheckBlockHeader``"""
        tip, consensus = self._chain.tip, self._consensus
        version = int.from_bytes(self._header[:4], "little", signed=True)
        time = int.from_bytes(self._header[68:72], "little")
        if int.from_bytes(self._header[72:76], "little") != next_bits(self._chain, time):
            raise _Broken("bad-diffbits", "incorrect proof of work")
        if time <= tip.median_time:
            raise _Broken("time-too-old", "block's timestamp is too early")
        if (
            consensus.enforce_bip94
            and self._height % consensus.difficulty_adjustment_interval == 0
            and time < tip.time - MAX_TIMEWARP
        ):
            details = "block's timestamp is too early on diff adjustment block"
            raise _Broken("time-timewarp-attack", details)
        if time > self._chain.clock.now() + _MAX_FUTURE:
            raise _Broken("time-too-new", "block timestamp too far in the future")
        for least, active in ((2, consensus.bip34_height), (3, consensus.bip66_height), (4, consensus.bip65_height)):
            if version < least and self._height >= active:
                text = f"0x{version & 0xFFFFFFFF:08x}"
                raise _Broken(f"bad-version({text})", f"rejected nVersion={text} block")

    def _check_in_context(self) -> None:
        """``ContextualCheckBlock``"""
        csv = self._height >= self._consensus.csv_height
        cutoff = self._chain.tip.median_time if csv else int.from_bytes(self._header[68:72], "little")
        for tx in self._txs:
            if not _is_final(tx, self._height, cutoff):
                raise _Broken("bad-txns-nonfinal", "non-final transaction")
        coinbase = self._txs[0].vin[0]
        if self._height >= self._consensus.bip34_height and not coinbase.script_sig.startswith(
            bip34_commitment(self._height)
        ):
            raise _Broken("bad-cb-height", "block height mismatch in coinbase")
        self._check_witnesses()
        if self._block.weight > MAX_BLOCK_WEIGHT:
            raise _Broken("bad-blk-weight", "ContextualCheckBlock : weight limit failed")

    def _check_witnesses(self) -> None:
        """``CheckWitnessMalleation``"""
        coinbase = self._txs[0]
        commitments = [
            tx_out.script_pub_key.script
            for tx_out in coinbase.vout
            if len(tx_out.script_pub_key.script) >= 38 and tx_out.script_pub_key.script.startswith(_WITNESS_COMMITMENT)
        ]
        if commitments and self._height >= self._consensus.segwit_height:
            stack = coinbase.vin[0].script_witness.stack
            if len(stack) != 1 or len(stack[0]) != 32:
                details = "CheckWitnessMalleation : invalid witness reserved value size"
                raise _Broken("bad-witness-nonce-size", details)
            try:
                self._block.assert_valid_witness_commitment()
            except BTClibValueError:
                details = "CheckWitnessMalleation : witness merkle commitment mismatch"
                raise _Broken("bad-witness-merkle-match", details) from None
        elif any(tx.is_segwit for tx in self._txs):
            raise _Broken("unexpected-witness", "CheckWitnessMalleation : unexpected witness data found")

    async def _check_connecting(self) -> None:
        """``ConnectBlock``"""
        for tx in self._txs:
            txid = tx.id
            if any(self._coin((txid, index)) is not None for index in range(len(tx.vout))):
                raise _Broken("bad-txns-BIP30", "tried to overwrite transaction")
        flags = self._consensus.script_flags_at(self._height)
        fees = sigops = 0
        for position, tx in enumerate(self._txs):
            spent: list[TxOut] = []
            if position:
                coins = self._coins_of(tx)
                fees += self._fee(tx, coins)
                self._check_relative_locks(tx, coins)
                spent = [coin.tx_out for coin in coins]
            sigops += sig_op_cost(spent, tx, flags) if position else tx.sig_op_count * WITNESS_SCALE_FACTOR
            if sigops > MAX_BLOCK_SIGOPS_COST:
                raise _Broken("bad-blk-sigops", "too many sigops")
            if position:
                await self._check_scripts(tx, spent, flags)
            self._connect(tx, coinbase=not position)
        paid = sum(tx_out.value for tx_out in self._txs[0].vout)
        limit = fees + subsidy(self._height, self._consensus.subsidy_halving_interval)
        if paid > limit:
            raise _Broken("bad-cb-amount", f"coinbase pays too much (actual={paid} vs limit={limit})")

    def _coin(self, outpoint: OutPoint) -> Coin | None:
        if outpoint in self._spent:
            return self._spent[outpoint]
        return self._chain.coins.get(outpoint)

    def _coins_of(self, tx: Tx) -> list[Coin]:
        coins = []
        for tx_in in tx.vin:
            coin = self._coin((tx_in.prev_out.tx_id, tx_in.prev_out.vout))
            if coin is None:
                details = f"CheckTxInputs: inputs missing/spent in transaction {tx.id.hex()}"
                raise _Broken("bad-txns-inputs-missingorspent", details)
            coins.append(coin)
        return coins

    def _fee(self, tx: Tx, coins: list[Coin]) -> int:
        try:
            return fee_of(tx, coins, self._height)
        except Rejected as rejected:
            raise _Broken(rejected.reason, f"{rejected.details} in transaction {tx.id.hex()}") from None

    def _check_relative_locks(self, tx: Tx, coins: list[Coin]) -> None:
        if self._height < self._consensus.csv_height:
            return
        try:
            assert_sequence_locks(tx, coins, self._height, self._chain.tip.median_time, self._median_time)
        except BTClibValueError:
            details = f"contains a non-BIP68-final transaction {tx.id.hex()}"
            raise _Broken("bad-txns-nonfinal", details) from None

    def _median_time(self, height: int) -> int:
        node = self._chain.by_height(height)
        return self._chain.tip.median_time if node is None else node.median_time

    async def _check_scripts(self, tx: Tx, spent: list[TxOut], flags: ScriptFlag) -> None:
        raw = tx.serialize(include_witness=True, check_validity=False)
        index = await asyncio.to_thread(self._verify, tx, raw, spent)
        if index is None:
            return
        outpoint = tx.vin[index].prev_out
        raise _Broken(
            f"block-script-verify-flag-failed ({_script_error(tx, index, spent, flags).description})",
            f"input {index} of {tx.id.hex()} (wtxid {tx.hash.hex()}), spending {outpoint.tx_id.hex()}:{outpoint.vout}",
        )

    def _connect(self, tx: Tx, *, coinbase: bool) -> None:
        if not coinbase:
            for tx_in in tx.vin:
                self._spent[tx_in.prev_out.tx_id, tx_in.prev_out.vout] = None
        txid = tx.id
        for index, tx_out in enumerate(tx.vout):
            self._spent[txid, index] = Coin(tx_out, self._height, coinbase, check_validity=False)


def _is_final(tx: Tx, height: int, cutoff: int) -> bool:
    """``IsFinalTx``"""
    if tx.lock_time < (height if tx.lock_time < LOCKTIME_THRESHOLD else cutoff):
        return True
    return all(tx_in.sequence == SEQUENCE_FINAL for tx_in in tx.vin)


def _script_error(tx: Tx, index: int, spent: list[TxOut], flags: ScriptFlag) -> ScriptErrorCode:
    """Which rule the script breaks: the kernel says only that it does."""
    try:
        verify_input(spent, tx, index, flags)
    except ScriptError as error:
        return error.code
    return ScriptErrorCode.UNKNOWN_ERROR
