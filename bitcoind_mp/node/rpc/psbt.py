"""Commands on PSBTs (``src/rpc/rawtransaction.cpp``). They hold no keys: what signs is in the wallet."""

import random
from typing import Any

from btclib.tx.tx import Tx
from btclib.tx.tx_in import TxIn
from btclib.tx.tx_out import TxOut
from btclib_wallet.psbt import Psbt, PsbtIn, PsbtOut

from bitcoind_mp.interfaces.command import Secret, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.construct import construct_transaction
from bitcoind_mp.render.json_values import expect
from bitcoind_mp.signing import psbt as roles
from bitcoind_mp.signing.keystore import KeyStore
from bitcoind_mp.signing.prevouts import parse_hash_type
from bitcoind_mp.signing.psbt_combine import combine
from bitcoind_mp.signing.psbt_reader import PsbtDecodeError, decode_psbt
from bitcoind_mp.signing.psbt_writer import encode_psbt

from .lookup import Lookup
from .psbt_analysis import analyze
from .psbt_json import psbt_json
from .psbt_process import add_descriptor, process
from .rawtransactions import decoded, uint32


class PsbtCommands:
    """``chain`` is Core's name of the network; ``lookup`` finds what a PSBT spends."""

    def __init__(self, chain: str, lookup: Lookup) -> None:
        self._chain = chain
        self._lookup = lookup

    @command("rawtransactions")
    def decodepsbt(self, psbt: str) -> dict[str, Any]:
        """Shows what is in a partially signed transaction.

        Args:
            psbt: The PSBT in base64

        Returns:
            The transaction, and every field of the global map, the inputs and the outputs
        """
        return psbt_json(read(psbt), self._chain)

    @command("rawtransactions")
    def analyzepsbt(self, psbt: str) -> dict[str, Any]:
        """Says what a PSBT still needs and whose turn it is.

        Args:
            psbt: The PSBT in base64

        Returns:
            For each input what is there and what is missing; the size, fee rate and fee as far as they are known
        """
        return analyze(read(psbt))

    @command("rawtransactions")
    def combinepsbt(self, txs: list[str]) -> str:
        """Combines several PSBTs of one transaction into one.

        Args:
            txs: The PSBTs in base64

        Returns:
            The PSBT in base64
        """
        if not txs:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Parameter 'txs' cannot be empty")
        merged = combine([read(text) for text in txs])
        if merged is None:
            raise RpcError(RpcCode.INVALID_PARAMETER, "PSBTs not compatible (different transactions)")
        return encode_psbt(merged)

    @command("rawtransactions")
    def finalizepsbt(self, psbt: str, extract: bool = True) -> dict[str, Any]:
        """Finalizes the inputs of a PSBT that are completely signed.

        Args:
            psbt: The PSBT in base64
            extract: If the transaction is complete, give it and not the PSBT

        Returns:
            The transaction in hex or the PSBT in base64, and whether it is complete
        """
        work = read(psbt)
        complete = roles.finalize(work)
        if complete and extract:
            tx = roles.extract(work)
            return {"hex": tx.serialize(include_witness=True, check_validity=False).hex(), "complete": True}
        return {"psbt": encode_psbt(work), "complete": complete}

    @command("rawtransactions")
    def createpsbt(
        self, inputs: list[Any], outputs: Any, locktime: int = 0, replaceable: bool | None = None, version: int = 2
    ) -> str:
        """Makes a PSBT that spends the given inputs and creates the given outputs: createrawtransaction as a PSBT.

        Args:
            inputs: The inputs: [{"txid": hex, "vout": n, "sequence": n}]
            outputs (json array): The outputs: [{address: amount}, {"data": hex}], or all in one object
            locktime: The raw lock time; one that isn't 0 also activates it in the inputs
            replaceable: Mark it as replaceable (BIP125), which is what it is if not given
            version: The transaction's version

        Returns:
            The PSBT in base64
        """
        tx = construct_transaction(inputs, outputs, locktime, replaceable, uint32(version), self._chain)
        return encode_psbt(_blank(tx))

    @command("rawtransactions")
    def converttopsbt(self, hexstring: str, permitsigdata: bool = False, iswitness: bool | None = None) -> str:
        """Makes a PSBT of a raw transaction.

        Args:
            hexstring: The transaction in hex
            permitsigdata: Discard the signatures that it has; otherwise they are an error
            iswitness: Whether it is serialized with witnesses; if not given, both are tried and the sensible one wins

        Returns:
            The PSBT in base64
        """
        tx = decoded(hexstring, iswitness)
        if not permitsigdata and any(tx_in.script_sig or tx_in.script_witness.stack for tx_in in tx.vin):
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, "Inputs must not have scriptSigs and scriptWitnesses")
        return encode_psbt(_blank(tx))

    @command("rawtransactions")
    async def utxoupdatepsbt(self, psbt: str, descriptors: list[Any] | None = None) -> str:
        """Puts into a PSBT the outputs that it spends, from the transaction index, the mempool or the chain, and the
        scripts and key origins that the descriptors tell.

        Args:
            psbt: The PSBT in base64
            descriptors: Descriptors, or objects of desc and range ([begin,end] or end, 1000 if not given)

        Returns:
            The PSBT in base64
        """
        keys = KeyStore()
        for value in descriptors or []:
            await add_descriptor(keys, value, self._chain)
        keys.secrets.clear()
        work = read(psbt)
        await process(work, keys, self._lookup, None, finalize=False)
        return encode_psbt(work)

    @command("rawtransactions")
    async def descriptorprocesspsbt(
        self,
        psbt: str,
        descriptors: Secret | list[Any],
        sighashtype: str | None = None,
        bip32derivs: bool = True,
        finalize: bool = True,
    ) -> dict[str, Any]:
        """Does what utxoupdatepsbt does, and signs with the private keys that the descriptors hold.

        Args:
            psbt: The PSBT in base64
            descriptors: Descriptors, or objects of desc and range ([begin,end] or end, 1000 if not given)
            sighashtype: DEFAULT, ALL, NONE or SINGLE, the latter three also with |ANYONECANPAY
            bip32derivs: Tell the derivation paths of the keys
            finalize: Finalize the inputs that are complete

        Returns:
            The PSBT in base64, whether it is complete, and then the transaction in hex
        """
        keys = KeyStore()
        for value in expect(descriptors, "array"):
            await add_descriptor(keys, value, self._chain)
        if not bip32derivs:
            keys.origins = dict.fromkeys(keys.origins)
        work = read(psbt)
        await process(work, keys, self._lookup, parse_hash_type(sighashtype), finalize=finalize)
        complete = all(roles.is_signed(psbt_in) for psbt_in in work.inputs)
        result: dict[str, Any] = {"psbt": encode_psbt(work), "complete": complete}
        if complete:
            result["hex"] = roles.extract(work).serialize(include_witness=True, check_validity=False).hex()
        return result

    @command("rawtransactions")
    def joinpsbts(self, txs: list[str]) -> str:
        """Joins PSBTs of different transactions into one with the inputs and outputs of all, in random order.

        Args:
            txs: The PSBTs in base64; no input may be in two of them

        Returns:
            The PSBT in base64
        """
        if len(txs) <= 1:
            raise RpcError(RpcCode.INVALID_PARAMETER, "At least two PSBTs are required to join PSBTs.")
        return encode_psbt(_joined([read(text) for text in txs]))


def read(text: str) -> Psbt:
    """A PSBT parameter."""
    try:
        return decode_psbt(text)
    except PsbtDecodeError as error:
        raise RpcError(RpcCode.DESERIALIZATION_ERROR, f"TX decode failed {error}") from None


def _blank(tx: Tx) -> Psbt:
    return Psbt.from_tx(tx, check_validity=False)


def _joined(psbts: list[Psbt]) -> Psbt:
    vin: list[TxIn] = []
    inputs: list[PsbtIn] = []
    pairs: list[tuple[TxOut, PsbtOut]] = []
    for psbt in psbts:
        tx = psbt.tx
        for tx_in, psbt_in in zip(tx.vin, psbt.inputs, strict=True):
            if tx_in in vin:
                outpoint = tx_in.prev_out
                raise RpcError(
                    RpcCode.INVALID_PARAMETER,
                    f"Input {outpoint.tx_id.hex()}:{outpoint.vout} exists in multiple PSBTs",
                )
            psbt_in.partial_sigs = {}
            psbt_in.final_script_sig, psbt_in.final_script_witness = b"", type(psbt_in.final_script_witness)()
            vin.append(tx_in)
            inputs.append(psbt_in)
        pairs += zip(tx.vout, psbt.outputs, strict=True)
    order = list(range(len(vin)))
    random.shuffle(order)
    random.shuffle(pairs)
    tx = Tx(
        max(1, *(psbt.tx.version for psbt in psbts)),
        min(psbt.tx.lock_time for psbt in psbts),
        [vin[i] for i in order],
        [tx_out for tx_out, _ in pairs],
        check_validity=False,
    )
    joined = Psbt.from_tx(tx, [inputs[i] for i in order], [psbt_out for _, psbt_out in pairs], check_validity=False)
    for psbt in psbts:
        joined.unknown = {**psbt.unknown, **joined.unknown}
    return joined
