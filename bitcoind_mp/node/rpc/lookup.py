"""Finding a coin or a transaction wherever the node may have it: mempool, tip, index, a given block."""

from dataclasses import dataclass

from btclib.tx.coin import Coin
from btclib.tx.tx import Tx
from btclib.tx.tx_out import TxOut

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.coins import CoinsUnavailable
from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.indexes import TxIndex
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.node.mempool.pool import Mempool

from .stored import stored_block

OutPoint = tuple[bytes, int]


@dataclass(frozen=True)
class Found:
    """A transaction, and the block it is in; None for one of the mempool."""

    tx: Tx
    block: BlockNode | None


class Lookup:
    """Asks mempool, chain and index in Core's order."""

    def __init__(self, chain: ChainState, mempool: Mempool, tx_index: TxIndex | None) -> None:
        self._chain = chain
        self._mempool = mempool
        self._tx_index = tx_index

    def output(self, outpoint: OutPoint) -> TxOut | None:
        """An output of the mempool or an unspent one of the chain, though the mempool may spend it (``FindCoins``)."""
        coin = self.coin(outpoint)
        return None if coin is None else coin.tx_out

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """`output`, with its height: that of the next block for one of the mempool."""
        txid, index = outpoint
        tx = self._mempool.get(txid)
        if tx is not None and index < len(tx.vout):
            return Coin(tx.vout[index], self._chain.height + 1, False, check_validity=False)
        return self.unspent(outpoint)

    def unspent(self, outpoint: OutPoint, *, with_mempool: bool = False) -> Coin | None:
        """An unspent output of the chain at its tip; with the mempool those it makes too, without those it spends."""
        try:
            return self._mempool.coin(outpoint) if with_mempool else self._chain.coins.get(outpoint)
        except CoinsUnavailable as error:
            raise RpcError(RpcCode.CLIENT_IN_INITIAL_DOWNLOAD, str(error)) from None

    async def transaction(self, txid: bytes, block: BlockNode | None = None) -> Found | None:
        """The transaction in that block, or (no block given) in the mempool or wherever the index says
        (``GetTransaction``)."""
        if block is not None:
            return await self._in_block(txid, block)
        tx = self._mempool.get(txid)
        if tx is not None:
            return Found(tx, None)
        return await self.confirmed(txid)

    async def confirmed(self, txid: bytes) -> Found | None:
        """The transaction where the index says, None where there is no index or it doesn't know."""
        location = None if self._tx_index is None else await self._tx_index.find(txid)
        if location is None:
            return None
        return Found(Tx.parse(location.raw, check_validity=False), self._chain.by_hash(location.block_hash))

    async def _in_block(self, txid: bytes, block: BlockNode) -> Found | None:
        for tx in (await self.contents(block)).transactions if block.has_data else []:
            if tx.id == txid:
                return Found(tx, block)
        return None

    async def contents(self, block: BlockNode) -> BlockContents:
        """A block that is here. Raises `RpcError` with Core's words for one that isn't."""
        return BlockContents(await stored_block(self._chain, block))
