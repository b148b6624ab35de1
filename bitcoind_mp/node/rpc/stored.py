"""A block and its undo data from disk, with Core's words where they aren't there (``GetBlockChecked``,
``GetUndoChecked`` and ``blockToJSON`` of ``src/rpc/blockchain.cpp``)."""

from btclib.tx.coin import Coin

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.state import BlockUnavailable, ChainState


async def stored_block(chain: ChainState, block: BlockNode) -> bytes:
    """The raw block. Raises `RpcError` where only its header is known, or its file can't be read."""
    try:
        return await chain.read_block(block)
    except BlockUnavailable as error:
        raise RpcError(RpcCode.MISC_ERROR, str(error)) from None


async def stored_undo(chain: ChainState, block: BlockNode) -> list[list[Coin]]:
    """The coins that the block spent, for a command that is about them. Raises `RpcError` where they aren't there."""
    try:
        return await chain.read_undo(block)
    except BlockUnavailable:
        reason = "Can't read undo data from disk" if block.has_undo else "Undo data not available"
        raise RpcError(RpcCode.MISC_ERROR, reason) from None


async def undo_details(chain: ChainState, block: BlockNode) -> list[list[Coin]] | None:
    """The coins that the block spent, for a command that shows them where it can: None where the block was never
    connected. Raises `RpcError` where they should be there and aren't."""
    if not block.has_undo or not block.height:
        return None
    try:
        return await chain.read_undo(block)
    except BlockUnavailable:
        raise RpcError(
            RpcCode.INTERNAL_ERROR,
            "Undo data expected but can't be read. "
            "This could be due to disk corruption or a conflict with a pruning event.",
        ) from None
