"""Commands about mining, and taking blocks and headers from miners (``src/rpc/mining.cpp``). Templates are in
``templates.py``, regtest's own mining in ``generate.py``."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

from btclib.block.block import Block
from btclib.exceptions import BTClibValueError
from btclib.hashes import hash256

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.command import command, commit_point, parse_hash
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.header import BlockNode, difficulty_of, target_of
from bitcoind_mp.node.chain.state import BlockDecodeError, ChainState, DiskFull
from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.node.mempool.standard import dust
from bitcoind_mp.node.mining.assembler import BlockLimits, Template
from bitcoind_mp.node.mining.work import block_time, next_bits
from bitcoind_mp.render.hex_values import hex_bytes
from bitcoind_mp.render.json_values import integer, real

_WITNESS_COMMITMENT = b"\x6a\x24\xaa\x21\xa9\xed"


@dataclass
class LastTemplate:
    """The newest template's size, for `getmininginfo`: None until there was one."""

    weight: int | None = None
    transactions: int | None = None

    def note(self, made: Template) -> None:
        """This template was made."""
        self.weight, self.transactions = made.weight, len(made.transactions)


class MiningCommands:
    """``last`` is shared with whatever makes templates."""

    def __init__(self, chain: ChainState, mempool: Mempool, limits: BlockLimits, last: LastTemplate) -> None:
        self._chain = chain
        self._mempool = mempool
        self._limits = limits
        self._last = last

    @command("mining")
    def getmininginfo(self) -> dict[str, Any]:
        """Tells what a miner wants to know.

        Returns:
            The height, the size of the last template, the target and difficulty now and of the next block, the
            estimated hash rate, the mempool's size, the least fee rate in BTC/kvB, and warnings
        """
        chain, tip = self._chain, self._chain.tip
        bits = next_bits(chain, block_time(chain))
        info: dict[str, Any] = {"blocks": tip.height}
        if self._last.weight is not None:
            info["currentblockweight"] = self._last.weight
            info["currentblocktx"] = self._last.transactions
        info |= {
            "bits": f"{tip.bits:08x}",
            "difficulty": real(tip.difficulty),
            "target": f"{tip.target:064x}",
            "networkhashps": self._hashes_per_second(120, -1),
            "pooledtx": len(self._mempool),
            "blockmintxfee": btc(self._limits.min_fee_rate),
            "chain": chain.params.name,
            "next": {
                "height": tip.height + 1,
                "bits": f"{bits:08x}",
                "difficulty": real(difficulty_of(bits)),
                "target": f"{target_of(bits):064x}",
            },
        }
        if chain.params.name == "signet":
            info["signet_challenge"] = chain.params.challenge.hex()
        info["warnings"] = chain.warnings
        return info

    @command("mining")
    def getnetworkhashps(self, nblocks: int = 120, height: int = -1) -> float:
        """Estimates how many hashes a second the network makes, from the last blocks.

        Args:
            nblocks: From how many blocks, -1 for those since the last change of difficulty
            height: As of which height, -1 for the tip

        Returns:
            Hashes a second
        """
        return self._hashes_per_second(integer(nblocks), integer(height))

    def _hashes_per_second(self, lookup: int, height: int) -> float:
        """``GetNetworkHashPS``"""
        if lookup < -1 or lookup == 0:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid nblocks. Must be a positive number or -1.")
        if not -1 <= height <= self._chain.height:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Block does not exist at specified height")
        end = self._chain.tip if height == -1 else self._chain.by_height(height)
        assert end is not None
        if not end.height:
            return 0
        if lookup == -1:
            lookup = end.height % self._chain.params.consensus.difficulty_adjustment_interval + 1
        lookup = min(lookup, end.height)
        times = [end.time]
        node: BlockNode = end
        for _ in range(lookup):
            assert node.previous is not None
            node = node.previous
            times.append(node.time)
        elapsed = max(times) - min(times)
        return real((end.chain_work - node.chain_work) / elapsed) if elapsed else 0

    @command("mining", changes=True)
    async def prioritisetransaction(self, txid: str, dummy: float | None, fee_delta: int) -> bool:
        """Has a transaction mined sooner or later than its fee would have it.

        Args:
            txid: The transaction id
            dummy: Must be 0 or null, of old; leave it out by naming the others
            fee_delta: Satoshis to add to the fee that the transaction is taken to pay; not paid, only reckoned with

        Returns:
            true
        """
        wanted = parse_hash(txid, "txid")
        if dummy is not None and dummy != 0:
            raise RpcError(
                RpcCode.INVALID_PARAMETER,
                "Priority is no longer supported, dummy argument to prioritisetransaction must be 0.",
            )
        tx = self._mempool.get(wanted)
        policy = self._mempool.policy
        if policy.require_standard and tx is not None and dust(tx, policy):
            raise RpcError(RpcCode.INVALID_PARAMETER, "Priority is not supported for transactions with dust outputs.")
        commit_point()
        await self._mempool.prioritise(wanted, fee_delta)
        return True

    @command("mining")
    def getprioritisedtransactions(self) -> dict[str, Any]:
        """Lists what prioritisetransaction has done.

        Returns:
            By txid: the satoshis added, whether the transaction is in the mempool, and then its fee with them
        """
        listed: dict[str, Any] = {}
        deltas = self._mempool.prioritised()
        for txid in sorted(deltas, key=lambda txid: txid[::-1]):
            entry = self._mempool.entry(txid)
            listed[txid.hex()] = {"fee_delta": deltas[txid], "in_mempool": entry is not None}
            if entry is not None:
                listed[txid.hex()]["modified_fee"] = entry.modified_fee
        return listed

    @command("mining", changes=True)
    async def submitblock(self, hexdata: str, dummy: str | None = None) -> str | None:
        """Submits a new block to the network (BIP22).

        Args:
            hexdata: The block in hex
            dummy: Ignored, for compatibility

        Returns:
            null if the block was accepted, else the reason against it
        """
        raw = self._with_reserved_value(parse_block(hexdata))
        commit_point()
        try:
            outcome = await self._chain.submit_block(raw)
        except BlockDecodeError:
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, "Block decode failed") from None
        except DiskFull as error:
            raise RpcError(RpcCode.DATABASE_ERROR, f"{error}.") from error
        return outcome.reason

    def _with_reserved_value(self, raw: bytes) -> bytes:
        """The block with the coinbase's witness put in where miners leave it out though the block commits to
        witnesses (``UpdateUncommittedBlockStructures``)."""
        parent = self._chain.by_hash(raw[35:3:-1])
        if parent is None or parent.height + 1 < self._chain.params.consensus.segwit_height:
            return raw
        block = BlockContents(raw).block
        coinbase = block.transactions[0] if block.transactions else None
        if coinbase is None or coinbase.is_segwit or not coinbase.vin:
            return raw
        if not any(
            len(tx_out.script_pub_key.script) >= 38 and tx_out.script_pub_key.script.startswith(_WITNESS_COMMITMENT)
            for tx_out in coinbase.vout
        ):
            return raw
        coinbase.vin[0].script_witness = type(coinbase.vin[0].script_witness)([bytes(32)])
        return raw[:80] + block.serialize(check_validity=False)[80:]

    @command("mining", changes=True)
    async def submitheader(self, hexdata: str) -> None:
        """Submits a header as a candidate for the chain.

        Args:
            hexdata: The header in hex

        Returns:
            null
        """
        raw = hex_bytes(hexdata)
        if raw is None or len(raw) < 80:
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, "Block header decode failed")
        header = raw[:80]
        previous = header[35:3:-1]
        if self._chain.by_hash(previous) is None:
            raise RpcError(RpcCode.VERIFY_ERROR, f"Must submit previous header ({previous.hex()}) first")
        commit_point()
        outcome = await self._chain.submit_headers([header])
        if outcome.reason is not None:
            raise RpcError(RpcCode.VERIFY_ERROR, outcome.reason)


def parse_block(text: str) -> bytes:
    """A block from hex (``DecodeHexBlk``): what follows the block is cut off."""
    raw = hex_bytes(text)
    if raw is not None:
        stream = BytesIO(raw)
        try:
            Block.parse(stream, check_validity=False)
        except BTClibValueError:
            pass
        else:
            return raw[: stream.tell()]
    raise RpcError(RpcCode.DESERIALIZATION_ERROR, "Block decode failed")


def block_hash(raw: bytes) -> bytes:
    """A serialised block's hash, in the order it is printed."""
    return hash256(raw[:80])[::-1]
