"""Mining on demand, for regtest (``src/rpc/mining.cpp``)."""

from typing import Any

from btclib.tx.tx import Tx

from bitcoind_mp.interfaces.command import Call, command, commit_point, pause_point
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.state import ChainState, DiskFull
from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.node.mempool.view import ScriptVerifier
from bitcoind_mp.node.mining.assembler import BlockLimits, template
from bitcoind_mp.node.mining.miner import mine
from bitcoind_mp.render.address import decode_destination
from bitcoind_mp.render.descriptor_text import parse_descriptors
from bitcoind_mp.render.json_values import integer
from bitcoind_mp.render.transaction import decode_transaction

from .block_check import check_block
from .mining import LastTemplate, block_hash

_MAX_TRIES = 1_000_000


class GenerateCommands:
    """``verify`` is the kernel's script check, for what `generateblock` is told to mine."""

    def __init__(
        self, chain: ChainState, mempool: Mempool, limits: BlockLimits, last: LastTemplate, verify: ScriptVerifier
    ) -> None:
        self._chain = chain
        self._mempool = mempool
        self._limits = limits
        self._last = last
        self._verify = verify

    @command("hidden", changes=True, hidden=True, waits=True)
    async def generatetoaddress(self, call: Call, nblocks: int, address: str, maxtries: int = _MAX_TRIES) -> list[str]:
        """Mines blocks at once to an address, before the call returns.

        Args:
            nblocks: How many blocks
            address: The address to pay
            maxtries: How many nonces to try

        Returns:
            The hashes of the blocks
        """
        count, tries = integer(nblocks), integer(maxtries)
        script = decode_destination(address, self._chain.params.name).script
        if script is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Error: Invalid address")
        return await self._generate(call, script, count, tries % 2**64)  # a negative number is a large one

    @command("hidden", changes=True, hidden=True, waits=True)
    async def generatetodescriptor(
        self, call: Call, num_blocks: int, descriptor: str, maxtries: int = _MAX_TRIES
    ) -> list[str]:
        """Mines blocks at once to a descriptor, before the call returns.

        Args:
            num_blocks: How many blocks
            descriptor: The descriptor to pay
            maxtries: How many nonces to try

        Returns:
            The hashes of the blocks
        """
        count = integer(num_blocks)
        if maxtries < 0:
            raise RpcError(RpcCode.MISC_ERROR, "JSON integer out of range")
        return await self._generate(call, self._script_of(descriptor), count, maxtries)

    @command("hidden", changes=True, hidden=True)
    async def generateblock(self, output: str, transactions: list[str], submit: bool = True) -> dict[str, str]:
        """Mines a block of given transactions, in the order given.

        Args:
            output: The address or descriptor to pay
            transactions: Transactions in hex, or txids of the mempool
            submit: Submit the block; if not, it is given back

        Returns:
            The block's hash, and the block in hex if it was not submitted
        """
        script = self._output_script(output)
        txs = [self._transaction(text) for text in transactions]
        made = template(self._chain, None, script, limits=self._limits, transactions=txs)
        fault = await check_block(self._chain, made.block(), self._verify, merkle_root=False)
        if fault is not None:
            raise RpcError(RpcCode.VERIFY_ERROR, f"TestBlockValidity failed: {fault}")
        block, _ = await mine(made.block(), _MAX_TRIES)
        if block is None:
            raise RpcError(RpcCode.MISC_ERROR, "Failed to make block.")
        result = {"hash": block_hash(block).hex()}
        if submit:
            await self._submit(block)
        else:
            result["hex"] = block.hex()
        return result

    @command("hidden", hidden=True)
    def generate(self) -> None:
        """has been replaced by the -generate cli option. Refer to -help for more information."""
        raise RpcError(
            RpcCode.METHOD_NOT_FOUND,
            "generate\n\nhas been replaced by the -generate cli option. Refer to -help for more information.\n",
        )

    async def _generate(self, call: Call, script: bytes, count: int, tries: int) -> list[str]:
        hashes: list[str] = []
        while len(hashes) < count and tries > 0:
            made = template(self._chain, self._mempool, script, limits=self._limits)
            self._last.note(made)
            block, used = await mine(made.block(), tries)
            tries -= used
            if block is None:
                break
            await self._submit(block)
            hashes.append(block_hash(block).hex())
            pause_point()
            call.progress(f"{len(hashes)} of {count} blocks")
        return hashes

    async def _submit(self, block: bytes) -> None:
        commit_point()
        try:
            outcome = await self._chain.submit_block(block)
        except DiskFull as error:
            raise RpcError(RpcCode.DATABASE_ERROR, f"{error}.") from error
        if not outcome.accepted:
            raise RpcError(RpcCode.INTERNAL_ERROR, "ProcessNewBlock, block not accepted")

    def _script_of(self, descriptor: str) -> bytes:
        """The one script to pay (``getScriptFromDescriptor``): of a ``combo()`` the P2WPKH one, or P2PKH."""
        parsed = parse_descriptors(descriptor, self._chain.params.name)
        if len(parsed.descriptors) > 1:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Multipath descriptor not accepted")
        if parsed.descriptors[0].is_ranged:
            raise RpcError(
                RpcCode.INVALID_PARAMETER,
                "Ranged descriptor not accepted. Maybe pass through deriveaddresses first?",
            )
        try:
            scripts = [one.script for one in parsed.descriptors[0].script_pub_keys(0, parsed.prv_keys)]
        except ValueError:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Cannot derive script without private keys") from None
        return scripts[{1: 0, 4: 2}.get(len(scripts), 1)]

    def _output_script(self, output: str) -> bytes:
        try:
            return self._script_of(output)
        except RpcError as error:
            if error.code == RpcCode.INVALID_PARAMETER or "without private keys" in error.message:
                raise
        script = decode_destination(output, self._chain.params.name).script
        if script is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Error: Invalid address or descriptor")
        return script

    def _transaction(self, text: Any) -> Tx:
        if len(text) == 64 and all(character in "0123456789abcdefABCDEF" for character in text):
            known = self._mempool.get(bytes.fromhex(text))
            if known is None:
                raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f"Transaction {text} not in mempool.")
            return known
        tx = decode_transaction(text)
        if tx is None:
            raise RpcError(
                RpcCode.DESERIALIZATION_ERROR,
                f"Transaction decode failed for {text}. Make sure the tx has at least one input.",
            )
        return tx
