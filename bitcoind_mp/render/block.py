"""Block headers and blocks as JSON (``blockheaderToJSON``, ``blockToJSON``, Core's ``src/rpc/blockchain.cpp``)."""

from collections.abc import Sequence
from typing import Any, Protocol

from btclib.block.block import Block
from btclib.tx.tx import Tx

from .json_values import real
from .transaction import SpentOutput, transaction_json


class HeaderFacts(Protocol):
    """A header at its place in the chain. Hashes are in the order they are printed."""

    @property
    def hash(self) -> bytes: ...
    @property
    def height(self) -> int: ...
    @property
    def version(self) -> int: ...
    @property
    def merkle_root(self) -> bytes: ...
    @property
    def time(self) -> int: ...
    @property
    def median_time(self) -> int: ...
    @property
    def nonce(self) -> int: ...
    @property
    def bits(self) -> int: ...
    @property
    def target(self) -> int: ...
    @property
    def difficulty(self) -> float: ...
    @property
    def chain_work(self) -> int: ...
    @property
    def tx_count(self) -> int: ...


def header_json(
    header: HeaderFacts, confirmations: int, previous: bytes | None, following: bytes | None
) -> dict[str, Any]:
    """``confirmations`` is -1 off the best chain; the neighbours are None where there is none."""
    out: dict[str, Any] = {
        "hash": header.hash.hex(),
        "confirmations": confirmations,
        "height": header.height,
        "version": header.version,
        "versionHex": f"{header.version & 0xFFFFFFFF:08x}",
        "merkleroot": header.merkle_root.hex(),
        "time": header.time,
        "mediantime": header.median_time,
        "nonce": header.nonce,
        "bits": f"{header.bits:08x}",
        "target": f"{header.target:064x}",
        "difficulty": real(header.difficulty),
        "chainwork": f"{header.chain_work:064x}",
        "nTx": header.tx_count,
    }
    if previous is not None:
        out["previousblockhash"] = previous.hex()
    if following is not None:
        out["nextblockhash"] = following.hex()
    return out


def block_json(
    header: dict[str, Any],
    block: Block,
    chain: str,
    *,
    decode: bool,
    spent: Sequence[Sequence[SpentOutput]] | None = None,
    with_prevouts: bool = False,
) -> dict[str, Any]:
    """A block's JSON on its header's: txids, or with ``decode`` whole transactions. ``spent`` are the outputs spent
    by each transaction but the coinbase, for fees; ``with_prevouts`` shows them."""
    transactions = block.transactions
    out = {
        **header,
        "strippedsize": block.stripped_size,
        "size": block.size,
        "weight": block.weight,
        "coinbase_tx": _coinbase(transactions[0]),
    }
    if not decode:
        out["tx"] = [tx.id.hex() for tx in transactions]
        return out
    out["tx"] = [
        transaction_json(
            tx,
            chain,
            with_hex=True,
            spent=spent[i - 1] if spent is not None and i else None,
            with_prevouts=with_prevouts,
        )
        for i, tx in enumerate(transactions)
    ]
    return out


def _coinbase(tx: Tx) -> dict[str, Any]:
    tx_in = tx.vin[0]
    out: dict[str, Any] = {
        "version": tx.version,
        "locktime": tx.lock_time,
        "sequence": tx_in.sequence,
        "coinbase": tx_in.script_sig.hex(),
    }
    if tx_in.script_witness.stack:
        out["witness"] = tx_in.script_witness.stack[0].hex()
    return out
