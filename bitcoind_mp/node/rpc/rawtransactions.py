"""Commands on raw transactions: fetch, make, decode, sign (``src/rpc/rawtransaction.cpp``). Those on PSBTs are in
``psbt.py``, those that send in ``send.py``."""

from typing import Any

from btclib.tx.tx import Tx

from bitcoind_mp.interfaces.command import Secret, command, parse_hash
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.indexes import TxIndex
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.render.address import decode_secret
from bitcoind_mp.render.construct import construct_transaction
from bitcoind_mp.render.json_values import expect, integer
from bitcoind_mp.render.transaction import decode_transaction, transaction_json
from bitcoind_mp.signing.creator import SIGHASH_DEFAULT
from bitcoind_mp.signing.keystore import KeyStore
from bitcoind_mp.signing.prevouts import OutPoints, parse_hash_type, parse_prevouts, signing_result
from bitcoind_mp.signing.transaction import merge_transactions, sign_transaction

from .lookup import Lookup
from .stored import undo_details


class RawTransactionCommands:
    """``tx_index`` is None where there is none."""

    def __init__(self, chain: ChainState, lookup: Lookup, tx_index: TxIndex | None) -> None:
        self._chain = chain
        self._name = chain.params.name
        self._lookup = lookup
        self._tx_index = tx_index

    @command("rawtransactions", aliases={"verbose": "verbosity"})
    async def getrawtransaction(
        self, txid: str, verbosity: Any = 0, blockhash: str | None = None
    ) -> str | dict[str, Any]:
        """Returns a transaction of the mempool, of a given block, or of any block where there is a transaction index.

        Args:
            txid: The transaction id
            verbosity (numeric): 0 for hex, 1 for an object, 2 for an object with fee and previous outputs
            blockhash: The block in which to look for the transaction

        Returns:
            The serialized transaction in hex, or the decoded transaction with its place in the chain
        """
        wanted = parse_hash(txid, "parameter 1")
        if wanted == self._chain.genesis.merkle_root:
            raise RpcError(
                RpcCode.INVALID_ADDRESS_OR_KEY,
                "The genesis block coinbase is not considered an ordinary transaction and cannot be retrieved",
            )
        level = parse_verbosity(verbosity, 0)
        given = None
        if blockhash is not None:
            given = self._chain.by_hash(parse_hash(blockhash, "parameter 3"))
            if given is None:
                raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Block hash not found")
        found = await self._lookup.transaction(wanted, given)
        if found is None:
            raise self._not_found(given)
        if level <= 0:
            return found.tx.serialize(include_witness=True, check_validity=False).hex()
        result: dict[str, Any] = {}
        if given is not None:
            result["in_active_chain"] = self._chain.contains(given)
        return result | await self._located(found.tx, found.block, with_prevouts=level >= 2)

    def _not_found(self, given: BlockNode | None) -> RpcError:
        if given is not None:
            if not given.has_data:
                return RpcError(RpcCode.MISC_ERROR, "Block not available")
            message = "No such transaction found in the provided block"
        elif self._tx_index is None:
            message = (
                "No such mempool transaction. "
                "Use -txindex or provide a block hash to enable blockchain transaction queries"
            )
        elif not self._tx_index.state.synced:
            message = "No such mempool transaction. Blockchain transactions are still in the process of being indexed"
        else:
            message = "No such mempool or blockchain transaction"
        return RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f"{message}. Use gettransaction for wallet transactions.")

    async def _located(self, tx: Tx, block: BlockNode | None, *, with_prevouts: bool) -> dict[str, Any]:
        """A transaction with where it is in the chain (``TxToJSON``)."""
        spent = None
        if with_prevouts and block is not None and not tx.is_coinbase:
            undo = await undo_details(self._chain, block)
            if undo is not None:
                ids = [other.id for other in (await self._lookup.contents(block)).transactions]
                spent = undo[ids.index(tx.id) - 1]
        rendered = transaction_json(tx, self._name, with_hex=True, spent=spent, with_prevouts=with_prevouts)
        if block is not None:
            rendered["blockhash"] = block.hash.hex()
            if self._chain.contains(block):
                rendered["confirmations"] = 1 + self._chain.height - block.height
                rendered["time"] = rendered["blocktime"] = block.time
            else:
                rendered["confirmations"] = 0
        return rendered

    @command("rawtransactions")
    def createrawtransaction(
        self, inputs: list[Any], outputs: Any, locktime: int = 0, replaceable: bool | None = None, version: int = 2
    ) -> str:
        """Makes a transaction that spends the given inputs and creates the given outputs. It is not signed.

        Args:
            inputs: The inputs: [{"txid": hex, "vout": n, "sequence": n}]
            outputs (json array): The outputs: [{address: amount}, {"data": hex}], or all in one object
            locktime: The raw lock time; one that isn't 0 also activates it in the inputs
            replaceable: Mark it as replaceable (BIP125), which is what it is if not given
            version: The transaction's version

        Returns:
            The transaction in hex
        """
        tx = construct_transaction(inputs, outputs, locktime, replaceable, uint32(version), self._name)
        return _hex(tx)

    @command("rawtransactions")
    def decoderawtransaction(self, hexstring: str, iswitness: bool | None = None) -> dict[str, Any]:
        """Shows what is in a serialized transaction.

        Args:
            hexstring: The transaction in hex
            iswitness: Whether it is serialized with witnesses; if not given, both are tried and the sensible one wins

        Returns:
            The decoded transaction
        """
        return transaction_json(decoded(hexstring, iswitness), self._name)

    @command("rawtransactions")
    def combinerawtransaction(self, txs: list[str]) -> str:
        """Combines several partially signed versions of one transaction. Unlike signrawtransactionwithkey it makes no
        signature.

        Args:
            txs: The partially signed transactions in hex

        Returns:
            The transaction with the signatures of all, in hex
        """
        variants = []
        for index, text in enumerate(txs):
            tx = decode_transaction(text)
            if tx is None:
                raise RpcError(
                    RpcCode.DESERIALIZATION_ERROR,
                    f"TX decode failed for tx {index}. Make sure the tx has at least one input.",
                )
            variants.append(tx)
        if not variants:
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, "Missing transactions")
        spent = []
        for tx_in in variants[0].vin:
            output = self._lookup.output((tx_in.prev_out.tx_id, tx_in.prev_out.vout))
            if output is None:
                raise RpcError(RpcCode.VERIFY_ERROR, "Input not found or already spent")
            spent.append(output)
        return _hex(merge_transactions(variants, spent))

    @command("rawtransactions")
    def signrawtransactionwithkey(
        self,
        hexstring: str,
        privkeys: list[Secret],
        prevtxs: list[Any] | None = None,
        sighashtype: str | None = None,
    ) -> dict[str, Any]:
        """Signs a transaction with the keys given, which the node forgets again.

        Args:
            hexstring: The transaction in hex
            privkeys: The private keys, base58-encoded
            prevtxs: Outputs spent that may not be known: [{"txid": hex, "vout": n, "scriptPubKey": hex,
                "redeemScript": hex, "witnessScript": hex, "amount": n}]
            sighashtype: DEFAULT, ALL, NONE or SINGLE, the latter three also with |ANYONECANPAY; DEFAULT for taproot
                and ALL otherwise if not given

        Returns:
            The transaction in hex, whether it is complete, and for each input that is not why not
        """
        tx = decode_transaction(hexstring)
        if tx is None:
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, "TX decode failed. Make sure the tx has at least one input.")
        keys = KeyStore()
        for text in privkeys:
            secret = decode_secret(text, self._name)
            if secret is None:
                raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Invalid private key")
            keys.add_secret(secret[0], compressed=secret[1])
        outpoints = [(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in tx.vin]
        spent: OutPoints = {outpoint: self._lookup.output(outpoint) for outpoint in outpoints}
        parse_prevouts(prevtxs, keys, spent)
        hash_type = parse_hash_type(sighashtype)
        errors = sign_transaction(
            tx, keys, [spent[outpoint] for outpoint in outpoints], SIGHASH_DEFAULT if hash_type is None else hash_type
        )
        return signing_result(tx, errors, spent)


def parse_verbosity(value: Any, default: int, *, allow_bool: bool = True) -> int:
    """A level, or true for 1 and false for 0 where that is allowed (``ParseVerbosity``)."""
    if value is None:
        return default
    if isinstance(value, bool):
        if not allow_bool:
            raise RpcError(RpcCode.TYPE_ERROR, "Verbosity was boolean but only integer allowed")
        return int(value)
    return integer(value)


def uint32(value: int) -> int:
    """A number that fits 32 bits without a sign (``getInt<uint32_t>``)."""
    if not 0 <= value <= 0xFFFFFFFF:
        raise RpcError(RpcCode.MISC_ERROR, "JSON integer out of range")
    return value


def decoded(text: str, with_witness: bool | None, error: str = "TX decode failed") -> Tx:
    """A transaction from hex, in the serialisation that the caller says or the one that makes sense."""
    tx = decode_transaction(
        expect(text, "string"),
        try_witness=with_witness is None or with_witness,
        try_no_witness=with_witness is None or not with_witness,
    )
    if tx is None:
        raise RpcError(RpcCode.DESERIALIZATION_ERROR, error)
    return tx


def _hex(tx: Tx) -> str:
    return tx.serialize(include_witness=True, check_validity=False).hex()
