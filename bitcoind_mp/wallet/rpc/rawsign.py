"""`signrawtransactionwithwallet`."""

from typing import Any

from bitcoind_mp.interfaces.command import Call, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.transaction import decode_transaction
from bitcoind_mp.signing.prevouts import OutPoints, parse_hash_type, parse_prevouts, signing_result
from bitcoind_mp.wallet.spend.signer import SIGHASH_DEFAULT, coins_of, sign_inputs
from bitcoind_mp.wallet.wallets.manager import Wallets


class SigningCommands:
    """Raw transactions signed by the wallet's keys."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet")
    async def signrawtransactionwithwallet(
        self, call: Call, hexstring: str, prevtxs: list[Any] | None = None, sighashtype: str | None = None
    ) -> dict[str, Any]:
        """Sign the inputs of a raw transaction.

        Requires the wallet to be unlocked.

        Args:
            hexstring: The transaction hex string.
            prevtxs: Outputs that it depends on and that may not be in the block chain yet: objects of txid, vout,
                scriptPubKey, and where they are needed redeemScript, witnessScript and amount.
            sighashtype: DEFAULT, ALL, NONE or SINGLE, the last three also with |ANYONECANPAY. Default: DEFAULT for
                Taproot, ALL otherwise.

        Returns:
            An object of hex, the transaction with its signatures; complete; and errors, if there are any.

        Examples:
            signrawtransactionwithwallet "myhex"
        """
        wallet = self._wallets.chosen(call)
        tx = decode_transaction(hexstring)
        if tx is None:
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, "TX decode failed. Make sure the tx has at least one input.")
        wallet.require_unlocked()
        outpoints = [(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in tx.vin]
        spent: OutPoints = await coins_of(wallet, outpoints)
        parse_prevouts(prevtxs, None, spent)
        hash_type = parse_hash_type(sighashtype)
        errors = await sign_inputs(
            wallet,
            tx,
            [spent.get(outpoint) for outpoint in outpoints],
            SIGHASH_DEFAULT if hash_type is None else hash_type,
        )
        return signing_result(tx, errors, spent)
