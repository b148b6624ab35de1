"""`walletprocesspsbt`: what the wallet knows of somebody's PSBT, and its signatures."""

from typing import Any

from bitcoind_mp.interfaces.command import Call, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.signing.prevouts import parse_hash_type
from bitcoind_mp.signing.psbt import extract
from bitcoind_mp.signing.psbt import finalize as finalize_psbt
from bitcoind_mp.signing.psbt_reader import PsbtDecodeError, decode_psbt
from bitcoind_mp.signing.psbt_writer import encode_psbt
from bitcoind_mp.wallet.spend.psbt import fill_psbt
from bitcoind_mp.wallet.wallets.manager import Wallets


class PsbtCommands:
    """Partially signed transactions."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet")
    async def walletprocesspsbt(
        self,
        call: Call,
        psbt: str,
        sign: bool = True,
        sighashtype: str | None = None,
        bip32derivs: bool = True,
        finalize: bool = True,
    ) -> dict[str, Any]:
        """Update a PSBT with input information from our wallet and then sign the inputs that we can sign for.

        Signing requires the wallet to be unlocked.

        Args:
            psbt: The transaction, in Base64.
            sign: Also sign.
            sighashtype: DEFAULT, ALL, NONE or SINGLE, the last three also with |ANYONECANPAY. Default: DEFAULT for
                Taproot, ALL otherwise.
            bip32derivs: Tell the keys' derivation paths where they are known.
            finalize: Also finalize inputs if possible.

        Returns:
            An object of psbt, in Base64; complete; and, if it is complete, hex, the transaction.

        Examples:
            walletprocesspsbt "psbt"
        """
        wallet = await self._wallets.current(call)
        try:
            parsed = decode_psbt(psbt)
        except PsbtDecodeError as error:
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, f"TX decode failed {error}") from error
        hash_type = parse_hash_type(sighashtype)
        if sign:
            wallet.require_unlocked()
        complete = await fill_psbt(
            wallet, parsed, hash_type=hash_type, signed=sign, derivations=bip32derivs, finalize=finalize
        )
        result: dict[str, Any] = {"psbt": encode_psbt(parsed), "complete": complete}
        if complete:
            finalize_psbt(parsed)
            result["hex"] = extract(parsed).serialize(include_witness=True, check_validity=False).hex()
        return result
