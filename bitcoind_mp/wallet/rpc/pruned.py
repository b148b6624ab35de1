"""Commands that bring a transaction in without a scan, and take one out (``src/wallet/rpc/backup.cpp``)."""

from bitcoind_mp.interfaces.command import Call, Hash, command, parse_hex
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.inclusion import read_inclusion
from bitcoind_mp.render.transaction import decode_transaction
from bitcoind_mp.wallet.transactions import Confirmed
from bitcoind_mp.wallet.wallets.manager import Wallets


def _refused(message: str) -> RpcError:
    return RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, message)


class PrunedCommands:
    """Single transactions, for those whose node has no older blocks."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet", changes=True)
    async def importprunedfunds(self, call: Call, rawtransaction: str, txoutproof: str) -> None:
        """Imports funds without a scan: a transaction that pays one of the wallet's addresses, proved to be in a block.

        Transactions that spend what is imported, in that block or later, have to be imported too, or scanned for.

        Args:
            rawtransaction: The transaction in hex
            txoutproof: The proof in hex that a block contains it, as gettxoutproof makes it
        """
        wallet = self._wallets.chosen(call)
        tx = decode_transaction(rawtransaction)
        if tx is None:
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, "TX decode failed. Make sure the tx has at least one input.")
        proof = read_inclusion(parse_hex(txoutproof, "proof"))
        if proof.matches is None:
            raise _refused("Something wrong with merkleblock")
        block = await wallet.chain.find_block(proof.block.hex())
        if block is None or block.height > wallet.height:
            raise _refused("Block not found in chain")
        if tx.id not in proof.matches:
            raise _refused("Transaction given doesn't exist in proof")
        state = Confirmed(proof.block, block.height, proof.matches[tx.id], block.time)
        if not wallet.take_proved(tx.serialize(include_witness=True, check_validity=False), state):
            raise _refused("No addresses in wallet correspond to included transaction")

    @command("wallet", changes=True)
    def removeprunedfunds(self, call: Call, txid: Hash) -> None:
        """Deletes a transaction from the wallet, which changes its balances. The counterpart of importprunedfunds.

        Args:
            txid: The transaction's id
        """
        wallet = self._wallets.chosen(call)
        tx = wallet.transaction(txid)
        if tx is None:
            raise RpcError(RpcCode.WALLET_ERROR, f"Transaction {txid.hex()} does not belong to this wallet")
        wallet.remove(tx)
