"""The signer itself: `Signer` on a store, a policy and an audit log. It sees no socket and no request.

Before a key is used, what it is used for is on disk twice: in the log, and in what the daily limit counts. If either
can't be written nothing is signed.
"""

import asyncio
import base64
import json
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from btclib.ecc import bms
from btclib.exceptions import BTClibException
from btclib.key import PrvKeyData
from btclib_wallet.bip32.bip32 import BIP32KeyData
from btclib_wallet.psbt import Psbt

from bitcoind_mp.interfaces.amounts import COIN
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.signer import KeySet, PublicDescriptor, Signer
from bitcoind_mp.render.network import network_name, network_of
from bitcoind_mp.signing.psbt import Spends, sign_input
from bitcoind_mp.signing.psbt_reader import PsbtDecodeError, decode_psbt
from bitcoind_mp.signing.psbt_writer import encode_psbt
from bitcoind_mp.signing.sealing import (
    Cost,
    WrongPassphrase,
    new_master_key,
    open_master_key,
    seal,
    seal_master_key,
    unseal,
    wipe,
)
from bitcoind_mp.signing.seeds import new_master_key as new_seed

from .audit import AuditLog, Head
from .clock import Reading
from .keyset import FURTHEST, OwnScripts, Place, describe
from .policy import DAY, Confirm, Policy
from .requests import Requests
from .spending import Spending, examine, transaction_name
from .store import KeySetRow, Store

#: Names of wallets that one key set may have: a wallet that was broken into could make them up for ever.
_MOST_NAMES = 100
_LOCKED = "Error: Please enter the wallet passphrase with walletpassphrase first."
_ABSENT = (
    "The signer has no keys by the name of {}: they were made in another data directory, or its key store is gone. "
    "Bring them back with importsignerkeys."
)


@dataclass
class _Open:
    """A key set in memory. ``master`` opens the seed, None while it is locked; ``timer`` locks it again; ``on_lock`` is
    whom to tell then, of one that was unlocked at the start."""

    row: KeySetRow
    own: OwnScripts
    master: bytearray | None = None
    timer: asyncio.TimerHandle | None = None
    on_lock: Callable[[], None] | None = None

    def lock(self) -> None:
        """Forget what opens it, and tell whoever unlocked it at the start."""
        told, self.on_lock = self.on_lock, None
        self.forget()
        if told is not None:
            told()

    def forget(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.master is not None:
            wipe(self.master)
            self.master = None


class Vault(Signer):
    """All key sets of one chain. ``now`` reads the clocks."""

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
        self.policy = policy
        self.requests = requests
        self._store = store
        self._log = log
        self._chain = chain
        self._network = network_name(chain)
        self._now = now
        self._cost = cost or Cost()
        self._sets = {row.id: _Open(row, self._own(row)) for row in store.keysets()}
        self._names = store.names()
        self.on_change: Callable[[], None] = lambda: None
        """Called after a set was made, locked or unlocked."""

    def _own(self, row: KeySetRow) -> OwnScripts:
        return OwnScripts(_public(row.public), self._network)

    def _set(self, id: str) -> _Open:
        found = self._sets.get(id)
        if found is None:
            raise RpcError(RpcCode.WALLET_ERROR, _ABSENT.format(id))
        return found

    def _seed(self, found: _Open) -> str:
        """The extended private key. Raises `RpcError` -13 while it is locked."""
        if found.master is None:
            raise RpcError(RpcCode.WALLET_UNLOCK_NEEDED, _LOCKED)
        return unseal(found.master, found.row.id.encode(), found.row.seed).decode()

    # --- making, locking, unlocking -------------------------------------------------------------------------

    async def make(self, label: str, passphrase: str) -> KeySet:
        return await self._keep(os.urandom(16).hex(), label, new_seed(self._network), passphrase, "made")

    async def _keep(self, id: str, label: str, xprv: str, passphrase: str, event: str) -> KeySet:
        if not passphrase:
            raise RpcError(RpcCode.INVALID_PARAMETER, "passphrase cannot be empty")
        public = describe(id, xprv, self._network)
        master = new_master_key()
        sealed = await asyncio.to_thread(seal_master_key, passphrase, master, self._cost)
        seed = seal(master, id.encode(), xprv.encode())
        wipe(master)
        row = KeySetRow(id, label, int(time.time()), json.dumps(asdict(public)), sealed, seed)
        if id in self._sets:
            raise RpcError(RpcCode.WALLET_ERROR, f"The signer has the keys {id} already.")

        def keep() -> None:
            self._store.put(row)
            self._store.name(label, id)

        self._record(event, {"keyset": id, "wallet": label}, keep)
        self._sets[id] = _Open(row, self._own(row))
        self._names[label] = id
        self.on_change()
        return public

    async def describe(self, id: str) -> KeySet:
        return self._set(id).own.public

    def named(self, wallet: str) -> str | None:
        """Which set a wallet's name stands for, None for none."""
        return self._names.get(wallet)

    async def introduce(self, id: str, wallet: str) -> int:
        found = self._set(id)
        if self._names.get(wallet) != id:
            if sum(known == id for known in self._names.values()) >= _MOST_NAMES:
                raise RpcError(RpcCode.WALLET_ERROR, f"The keys {id} have {_MOST_NAMES} wallets' names already.")
            self._record("named", {**self._facts_of(found), "as": wallet}, lambda: self._store.name(wallet, id))
            self._names[wallet] = id
        if found.on_lock is None or found.timer is None:
            return 0
        return max(1, int(found.timer.when() - asyncio.get_running_loop().time()))

    def forget_name(self, wallet: str) -> None:
        """That name stands for no keys here any more. Raises `RpcError` -8 where it stands for none."""
        id = self._names.get(wallet)
        if id is None:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"The signer has no keys of a wallet named {wallet}")
        self._record("name forgotten", {"keyset": id, "wallet": wallet}, lambda: self._store.name(wallet, None))
        del self._names[wallet]

    async def unlock(self, id: str, passphrase: str, seconds: int) -> bool:
        found = self._set(id)
        master = await self._opened(found, passphrase)
        if master is None:
            self._record("wrong passphrase", self._facts_of(found))
            return False
        self._record("unlocked", {**self._facts_of(found), "seconds": seconds})
        found.lock()
        found.master = master
        found.timer = asyncio.get_running_loop().call_later(seconds, self._expire, found)
        self.on_change()
        return True

    async def unlock_from_start(self, id: str, passphrase: str, seconds: int, on_lock: Callable[[], None]) -> bool:
        """The same by what the owner put down for the start; ``on_lock`` is called when it is locked, by its time or
        by somebody, not by the process's end."""
        if not await self.unlock(id, passphrase, seconds):
            return False
        self._set(id).on_lock = on_lock
        return True

    async def _opened(self, found: _Open, passphrase: str) -> bytearray | None:
        try:
            return await asyncio.to_thread(open_master_key, passphrase, found.row.master)
        except WrongPassphrase:
            return None

    def _expire(self, found: _Open) -> None:
        found.lock()
        self.on_change()

    async def lock(self, id: str) -> None:
        self._expire(self._set(id))

    def lock_all(self) -> None:
        """Every one."""
        for found in self._sets.values():
            found.lock()
        self.on_change()

    def close(self) -> None:
        """The process ends."""
        for found in self._sets.values():
            found.on_lock = None
            found.forget()

    async def change_passphrase(self, id: str, old: str, new: str) -> bool:
        found = self._set(id)
        if not new:
            raise RpcError(RpcCode.INVALID_PARAMETER, "passphrase cannot be empty")
        before = found.row
        master = await self._opened(found, old)
        if master is None:
            self._record("wrong passphrase", self._facts_of(found))
            return False
        sealed = await asyncio.to_thread(seal_master_key, new, master, self._cost)
        wipe(master)
        if found.row is not before:
            raise RpcError(RpcCode.WALLET_ERROR, "The passphrase was changed meanwhile: try again.")
        row = KeySetRow(before.id, before.label, before.created, before.public, sealed, before.seed)
        self._record("passphrase changed", self._facts_of(found), lambda: self._store.put(row))
        found.row = row
        return True

    # --- signing --------------------------------------------------------------------------------------------

    async def sign(self, id: str, psbt: str) -> str:
        found = self._set(id)
        self._seed(found)
        try:
            parsed = decode_psbt(psbt)
        except PsbtDecodeError as error:
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, f"TX decode failed {error}") from error
        while True:
            before = self._store.signed_inputs(transaction_name(parsed), id)
            spending = await asyncio.to_thread(self._examine, parsed, found, before)
            if not spending.inputs:
                return psbt
            # What was signed of the same transaction meanwhile counts too, and makes it another question.
            if self._unchanged(id, spending, before):
                await self._allow(found, spending, parsed)
                if self._unchanged(id, spending, before):
                    break
        xprv = self._seed(found)
        self._count(found, spending, parsed)
        await asyncio.to_thread(_sign, parsed, found.own, xprv, spending)
        return encode_psbt(parsed)

    def _unchanged(self, id: str, spending: Spending, before: dict[bytes, int]) -> bool:
        return self._store.signed_inputs(spending.tx, id) == before

    def _examine(self, psbt: Psbt, found: _Open, before: dict[bytes, int]) -> Spending:
        try:
            return examine(psbt, found.own, self._chain, before)
        except (BTClibException, ValueError) as error:
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, f"TX decode failed {error}") from error

    async def _allow(self, found: _Open, spending: Spending, psbt: Psbt) -> None:
        """Returns if it may be signed, without letting others run unless the owner was asked. Raises `RpcError` -4."""
        objections = self.policy.objections(spending, self.spent_today() - self._counted(found, spending))
        confirm = self.policy.confirm
        if not objections and confirm is not Confirm.ALWAYS:
            return
        facts = {**self._facts(found, spending, psbt), "because": objections}
        if confirm is Confirm.NEVER:
            self._record("refused", facts)
            raise RpcError(
                RpcCode.WALLET_ERROR,
                f"The signer's policy forbids it: {'; '.join(objections)}. Its owner may change the policy.",
            )
        await self._ask("signing", facts)

    async def _ask(self, what: str, facts: dict[str, Any]) -> None:
        if not await self.requests.ask({"what": what, **facts}):
            self._record("rejected", facts)
            raise RpcError(RpcCode.WALLET_ERROR, "Nothing was signed: the owner rejected it.")
        self._record("confirmed", facts)

    def _counted(self, found: _Open, spending: Spending) -> int:
        return self._store.spent_by(spending.tx, found.row.id)

    def spent_today(self) -> int:
        """What all key sets spent in the last 24 hours, in satoshis."""
        return self._store.spent_since(self._store.now(self._now()) - DAY)

    def _count(self, found: _Open, spending: Spending, psbt: Psbt) -> None:
        inputs = {one.outpoint: one.amount for one in spending.inputs}
        more = spending.amount - self._counted(found, spending)
        reading = self._now()
        now = self._store.now(reading)
        self._record(
            "signed",
            self._facts(found, spending, psbt),
            lambda: self._store.count(spending.tx, found.row.id, inputs, more, now),
        )

    def _facts(self, found: _Open, spending: Spending, psbt: Psbt) -> dict[str, Any]:
        return {
            **self._facts_of(found),
            "txid": psbt.tx.id.hex(),
            "inputs": [one.index for one in spending.inputs],
            "spends": _coins(spending.amount),
            "pays": [{"to": payment.name, "amount": _coins(payment.amount)} for payment in spending.payments],
        }

    async def sign_message(self, id: str, internal: bool, index: int, message: str) -> str:
        found = self._set(id)
        self._seed(found)
        if not 0 <= index <= FURTHEST:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"The signer has no address of index {index}.")
        facts = {**self._facts_of(found), "message": message, "internal": internal, "index": index}
        if self.policy.confirm is Confirm.ALWAYS:
            await self._ask("signing a message", facts)
        xprv = self._seed(found)
        self._record("signed message", facts)
        secret = found.own.private_key(Place("legacy", internal, index), xprv)
        key = PrvKeyData(int.from_bytes(secret, "big"), self._network, True)
        return base64.b64encode(bms.sign(message.encode(), key).serialize()).decode()

    # --- the owner's ----------------------------------------------------------------------------------------

    def keysets(self) -> list[dict[str, Any]]:
        """Each set, for people: id, wallet, created, unlocked."""
        return [
            {
                "keyset": found.row.id,
                "wallet": found.row.label,
                "created": found.row.created,
                "unlocked": found.master is not None,
            }
            for found in self._sets.values()
        ]

    async def export(self, id: str, passphrase: str) -> str:
        """The extended private key. Raises `RpcError` -14 for a wrong passphrase."""
        found = self._set(id)
        master = await self._opened(found, passphrase)
        if master is None:
            self._record("wrong passphrase", self._facts_of(found))
            raise RpcError(RpcCode.WALLET_PASSPHRASE_INCORRECT, "Error: The passphrase entered was incorrect.")
        self._record("exported", self._facts_of(found))
        try:
            return unseal(master, id.encode(), found.row.seed).decode()
        finally:
            wipe(master)

    async def bring_back(self, id: str, label: str, xprv: str, passphrase: str) -> KeySet:
        """Keep an exported extended private key, under the id that it had. Raises `RpcError`."""
        try:
            read = BIP32KeyData.b58decode(xprv)
            usable = read.is_private and read.version == network_of(self._chain).bip32_prv
        except (BTClibException, ValueError):
            usable = False
        if not usable:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f"No extended private key of the {self._chain} chain")
        if len(id) != 32 or not all(digit in "0123456789abcdef" for digit in id):
            raise RpcError(RpcCode.INVALID_PARAMETER, "keyset must be 32 hexadecimal digits, as exportsignerkeys shows")
        if id in self._sets:
            raise RpcError(RpcCode.WALLET_ERROR, f"The signer has the keys {id} already.")
        return await self._keep(id, label, xprv, passphrase, "imported")

    def answer(self, id: str, yes: bool) -> None:
        """The owner's word on a request. Raises `RpcError` -8."""
        self.requests.answer(id, yes)

    # --- on record ------------------------------------------------------------------------------------------

    @staticmethod
    def _facts_of(found: _Open) -> dict[str, Any]:
        return {"keyset": found.row.id, "wallet": found.row.label}

    def _record(self, event: str, facts: dict[str, Any], change: Callable[[], None] = lambda: None) -> None:
        """Log an event and make the change that goes with it, both on disk when this returns. Raises `RpcError` -20."""
        try:
            head = self._log.append(event, **facts)
            try:
                self._keep_record(head, change)
            except sqlite3.Error:
                self._log.append("failed", of=head.count)
                raise
        except (OSError, sqlite3.Error) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise RpcError(
                RpcCode.DATABASE_ERROR,
                f"The signer can't keep its record ({why}), and does nothing that isn't on record: "
                "see to its disk and try again.",
            ) from error

    def _keep_record(self, head: Head, change: Callable[[], None]) -> None:
        reading = self._now()
        counted = self._store.now(reading)
        with self._store.transaction():
            change()
            self._store.set_audit_head(head)
            self._store.keep_clock(counted, reading)


def _sign(psbt: Psbt, own: OwnScripts, xprv: str, spending: Spending) -> None:
    spends = Spends(psbt)
    for one in spending.inputs:
        hash_type = psbt.inputs[one.index].sig_hash_type
        keys = own.keys(one.place, xprv)
        sign_input(psbt, one.index, keys, hash_type=hash_type, finalize=False, spends=spends)


def _public(text: str) -> KeySet:
    read = json.loads(text)
    return KeySet(read["id"], read["xpub"], [PublicDescriptor(**one) for one in read["descriptors"]])


def _coins(amount: int) -> str:
    return f"{amount // COIN}.{amount % COIN:08d}"
