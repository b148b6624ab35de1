"""The signer itself: `Signer` on a store, a policy and an audit log. It sees no socket and no request.

Before a key is used, what it is used for is on disk twice: in the log, and in what the daily limit counts. If either
can't be written nothing is signed. What doesn't belong: how keys come in, are locked and unlocked (``keysets.py``).
"""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

from btclib.ecc import bms
from btclib.exceptions import BTClibException
from btclib.key import PrvKeyData
from btclib_wallet.psbt import Psbt

from bitcoind_mp.interfaces.amounts import COIN
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.signer import Signer
from bitcoind_mp.signing.descriptor_keys import TextSecrets
from bitcoind_mp.signing.psbt import Spends, sign_input
from bitcoind_mp.signing.psbt_reader import PsbtDecodeError, decode_psbt
from bitcoind_mp.signing.psbt_writer import encode_psbt
from bitcoind_mp.signing.sealing import Cost

from .audit import AuditLog
from .clock import Reading
from .keyset import OwnScripts
from .keysets import KeySets, Open
from .policy import DAY, Confirm, Policy
from .record import Record
from .requests import Requests
from .spending import Spending, examine, transaction_name
from .store import Store


class Vault(KeySets, Signer):
    """All key sets of one chain, used as the policy allows. ``now`` reads the clocks."""

    def __init__(
        self,
        store: Store,
        log: AuditLog,
        policy: Policy,
        requests: Requests,
        *,
        chain: str,
        now: Callable[[], Reading],
        cost: Cost | None = None,
    ) -> None:
        super().__init__(Record(store, log, now), chain, cost or Cost())
        self.policy = policy
        self.requests = requests

    async def sign(self, id: str, psbt: str) -> str:
        found = self._set(id)
        self._secrets(found)
        try:
            parsed = await asyncio.to_thread(decode_psbt, psbt)  # of a megabyte that takes seconds
        except PsbtDecodeError as error:
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, f"TX decode failed {error}") from error
        while True:
            before = self._record.store.signed_inputs(transaction_name(parsed), id)
            spending = await asyncio.to_thread(self._examine, parsed, found, before)
            if not spending.inputs:
                return psbt
            # What was signed of the same transaction meanwhile counts too, and makes it another question.
            if self._unchanged(id, spending, before):
                await self._allow(found, spending, parsed)
                if self._unchanged(id, spending, before):
                    break
        secrets = self._secrets(found)
        self._count(found, spending, parsed)
        await asyncio.to_thread(_sign, parsed, found.own, secrets, spending)
        return encode_psbt(parsed)

    def _unchanged(self, id: str, spending: Spending, before: dict[bytes, int]) -> bool:
        return self._record.store.signed_inputs(spending.tx, id) == before

    def _examine(self, psbt: Psbt, found: Open, before: dict[bytes, int]) -> Spending:
        try:
            return examine(psbt, found.own, self._chain, before)
        except (BTClibException, ValueError) as error:
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, f"TX decode failed {error}") from error

    async def _allow(self, found: Open, spending: Spending, psbt: Psbt) -> None:
        """Returns if it may be signed, without letting others run unless the owner was asked. Raises `RpcError` -4."""
        objections = self.policy.objections(spending, self._today_with(found, spending))
        confirm = self.policy.confirm
        if not objections and confirm is not Confirm.ALWAYS:
            return
        facts = {**self._facts(found, spending, psbt), "because": objections}
        if confirm is Confirm.NEVER:
            self._record.put("refused", facts)
            raise RpcError(
                RpcCode.WALLET_ERROR,
                f"The signer's policy forbids it: {'; '.join(objections)}. Its owner may change the policy.",
            )
        await self._ask("signing", facts)

    async def _ask(self, what: str, facts: dict[str, Any]) -> None:
        if not await self.requests.ask({"what": what, **facts}):
            self._record.put("rejected", facts)
            raise RpcError(RpcCode.WALLET_ERROR, "Nothing was signed: the owner rejected it.")
        self._record.put("confirmed", facts)

    def _replaced(self, found: Open, spending: Spending) -> list[bytes]:
        """What can't confirm any more where this does: a payment whose fee was raised is one payment. Only those count
        whose every input it spends: of two that share one, a third may take the place and leave the other standing."""
        before = self._record.store.signed_inputs(spending.tx, found.row.id)
        outpoints = before.keys() | {one.outpoint for one in spending.inputs}
        return self._record.store.replaced(spending.tx, found.row.id, outpoints)

    def _today_with(self, found: Open, spending: Spending) -> int:
        """What is spent within the last 24 hours once it is signed."""
        store, id = self._record.store, found.row.id
        since = self._record.counted() - DAY
        all_of_it = [spending.tx, *self._replaced(found, spending)]
        counted = sum(store.spent_by(tx, id) for tx in all_of_it)
        recent = sum(store.spent_by_since(tx, id, since) for tx in all_of_it)
        return self.spent_today() - recent + max(spending.amount, counted)

    def spent_today(self) -> int:
        """What all key sets spent in the last 24 hours, in satoshis."""
        return self._record.store.spent_since(self._record.counted() - DAY)

    def _count(self, found: Open, spending: Spending, psbt: Psbt) -> None:
        inputs = {one.outpoint: one.amount for one in spending.inputs}
        now = self._record.counted()
        replaced = self._replaced(found, spending)
        self._record.put(
            "signed",
            self._facts(found, spending, psbt),
            lambda: self._record.store.count(spending.tx, found.row.id, inputs, spending.amount, now, replaced),
        )

    def _facts(self, found: Open, spending: Spending, psbt: Psbt) -> dict[str, Any]:
        return {
            **self._facts_of(found),
            "txid": psbt.tx.id.hex(),
            "inputs": [one.index for one in spending.inputs],
            "spends": _coins(spending.amount),
            "pays": [{"to": payment.name, "amount": _coins(payment.amount)} for payment in spending.payments],
        }

    async def sign_message(self, id: str, descriptor: str, index: int, message: str) -> str:
        found = self._set(id)
        self._secrets(found)
        place = found.own.place_in(descriptor, index)
        if place is None:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"The signer has no address of index {index} of that descriptor.")
        facts = {**self._facts_of(found), "message": message, "descriptor": descriptor, "index": index}
        if self.policy.confirm is Confirm.ALWAYS:
            await self._ask("signing a message", facts)
        key = found.own.message_key(place, self._secrets(found))
        if key is None:
            raise RpcError(RpcCode.WALLET_ERROR, "Private key not available")
        self._record.put("signed message", facts)
        data = PrvKeyData(int.from_bytes(key[0], "big"), self._network, key[1])
        return base64.b64encode(bms.sign(message.encode(), data).serialize()).decode()

    def answer(self, id: str, yes: bool) -> None:
        """The owner's word on a request. Raises `RpcError` -8."""
        self.requests.answer(id, yes)


def _sign(psbt: Psbt, own: OwnScripts, secrets: TextSecrets, spending: Spending) -> None:
    spends = Spends(psbt)
    for one in spending.inputs:
        psbt_in = psbt.inputs[one.index]
        hash_type = psbt_in.sig_hash_type
        # How it is satisfied our own descriptor says; what the wallet told of it could be anything.
        psbt_in.redeem_script = psbt_in.witness_script = psbt_in.taproot_internal_key = psbt_in.taproot_merkle_root = (
            b""
        )
        psbt_in.taproot_leaf_scripts = {}
        keys = own.keys(one.place, secrets)
        sign_input(psbt, one.index, keys, hash_type=hash_type, finalize=False, spends=spends)


def _coins(amount: int) -> str:
    return f"{amount // COIN}.{amount % COIN:08d}"
