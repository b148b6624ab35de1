"""All key sets: made, named, locked and unlocked, moved in, kept under another passphrase, shown to their owner.

What doesn't belong: what is signed with them (``vault.py``), the file (``store.py``).
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from btclib.exceptions import BTClibException
from btclib_secp256k1 import dsa
from btclib_wallet.bip32.bip32 import BIP32KeyData

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.signer import LOCKED, KeySet, PublicDescriptor, Receipt, challenge_hash
from bitcoind_mp.render.network import network_name, network_of
from bitcoind_mp.signing.descriptor_keys import TextSecrets, plain_secret
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

from .backup import NoBackup, read, written
from .keyset import OwnScripts, derived, describe, id_of, sealed_text, secrets_in
from .names import Names
from .record import Record
from .store import KeySetRow

_ABSENT = (
    "The signer has no keys by the name of {}: they were made in another data directory, or its key store is gone. "
    "Bring them back with restoresigner or importsignerkeys."
)


@dataclass
class Open:
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
        """Forget what opens it; nobody is told."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.master is not None:
            wipe(self.master)
            self.master = None


class KeySets:
    """Those of one chain."""

    def __init__(self, record: Record, chain: str, cost: Cost) -> None:
        self._record = record
        self._chain = chain
        self._network = network_name(chain)
        self._cost = cost
        self._sets = {row.id: Open(row, self._own(row)) for row in record.store.keysets()}
        self.names = Names(record)
        self.on_change: Callable[[], None] = lambda: None
        """Called after a set was made, locked or unlocked."""

    def damage(self) -> str:
        """Why nothing is signed any more, empty where all is well."""
        return self._record.damage()

    def _own(self, row: KeySetRow) -> OwnScripts:
        return OwnScripts(_public(row.public), self._network)

    def _set(self, id: str) -> Open:
        found = self._sets.get(id)
        if found is None:
            raise RpcError(RpcCode.WALLET_ERROR, _ABSENT.format(id))
        return found

    def _secrets(self, found: Open) -> TextSecrets:
        """Its private keys. Raises `RpcError` -13 while it is locked."""
        if found.master is None:
            raise RpcError(RpcCode.WALLET_UNLOCK_NEEDED, LOCKED)
        return secrets_in(unseal(found.master, found.row.id.encode(), found.row.seed))

    # --- making, locking, unlocking -------------------------------------------------------------------------

    async def make(self, label: str, passphrase: str) -> KeySet:
        """See `Signer.make`."""
        xprv = new_seed(self._network)
        public = describe(id_of(xprv), xprv, self._network)
        return await self._keep(public, label, {public.publics[0]: xprv}, passphrase, "made")

    async def _keep(
        self,
        public: KeySet,
        label: str,
        secrets: Mapping[str, str],
        passphrase: str,
        event: str,
        *,
        again: bool = False,
        named: bool = True,
    ) -> KeySet:
        """Seal and store a set; ``again``: over the same one, which is there already; ``named``: from now on the label
        stands for it."""
        row = await self._sealed(public, label, secrets, passphrase)
        if public.id in self._sets and not again:
            raise RpcError(RpcCode.WALLET_ERROR, f"The signer has the keys {public.id} already.")

        names = {**self.names.awaiting([public.id]), **({label: public.id} if named else {})}

        def keep() -> None:
            self._record.store.put(row)
            self.names.write(names)

        self._record.put(event, {"keyset": public.id, "wallet": label}, keep)
        if public.id in self._sets:
            self._sets[public.id].lock()
        self._sets[public.id] = Open(row, self._own(row))
        self.names.learn(names)
        self.on_change()
        return public

    async def _sealed(self, public: KeySet, label: str, secrets: Mapping[str, str], passphrase: str) -> KeySetRow:
        if not passphrase:
            raise RpcError(RpcCode.INVALID_PARAMETER, "passphrase cannot be empty")
        master = new_master_key()
        sealed = await asyncio.to_thread(seal_master_key, passphrase, master, self._cost)
        seed = seal(master, public.id.encode(), sealed_text(secrets))
        wipe(master)
        return KeySetRow(public.id, label, int(time.time()), json.dumps(asdict(public)), sealed, seed)

    async def take(self, keys: KeySet, label: str, secrets: str, passphrase: str, challenge: str) -> Receipt:
        """See `Signer.take`."""
        _check_id(keys.id)
        try:
            given = {str(public): str(secret) for public, secret in json.loads(secrets).items()}
            public = await asyncio.to_thread(derived, keys, given, self._network)
        except (BTClibException, ValueError, LookupError, TypeError, AttributeError) as error:
            # Not the error's own words: they may quote a key.
            raise RpcError(RpcCode.WALLET_ERROR, "The keys are not what the wallet says that they are.") from error
        known = self._sets.get(keys.id)
        if known is not None and known.own.public != public:
            raise RpcError(RpcCode.WALLET_ERROR, f"The signer has other keys by the name of {keys.id}.")
        await self._keep(public, label, given, passphrase, "moved in", again=known is not None)
        stored = next(row for row in self._record.store.keysets() if row.id == keys.id)
        return await asyncio.to_thread(_receipt, stored, passphrase, challenge)

    async def describe(self, id: str) -> KeySet:
        """See `Signer.describe`."""
        return self._set(id).own.public

    async def introduce(self, id: str, wallet: str) -> int:
        """See `Signer.introduce`."""
        if id not in self._sets:
            self.names.await_keys(id, wallet)
        found = self._set(id)
        self.names.introduce(id, wallet, self._facts_of(found))
        if found.on_lock is None or found.timer is None:
            return 0
        return max(1, int(found.timer.when() - asyncio.get_running_loop().time()))

    async def unlock(self, id: str, passphrase: str, seconds: int) -> bool:
        """See `Signer.unlock`."""
        found = self._set(id)
        master = await self._opened(found, passphrase)
        if master is None:
            self._record.put("wrong passphrase", self._facts_of(found))
            return False
        if not await asyncio.to_thread(_is_whole, found, master, self._network):
            self._record.put("damaged", self._facts_of(found))
            raise RpcError(
                RpcCode.WALLET_ERROR,
                f"The keys {id} are not those that their descriptors are on: the key store was changed, or the backup "
                "that they come from.",
            )
        self._record.put("unlocked", {**self._facts_of(found), "seconds": seconds})
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

    async def _opened(self, found: Open, passphrase: str) -> bytearray | None:
        try:
            return await asyncio.to_thread(open_master_key, passphrase, found.row.master)
        except WrongPassphrase:
            return None

    def _expire(self, found: Open) -> None:
        found.lock()
        self.on_change()

    async def lock(self, id: str) -> None:
        """See `Signer.lock`."""
        self._expire(self._set(id))

    def lock_after_wallet(self, id: str) -> None:
        """The wallet process that had it unlocked has gone. What was put down for the start stays unlocked: the next
        process is told so (`introduce`)."""
        found = self._sets.get(id)
        if found is not None and found.on_lock is None:
            self._expire(found)

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
        """See `Signer.change_passphrase`."""
        found = self._set(id)
        if not new:
            raise RpcError(RpcCode.INVALID_PARAMETER, "passphrase cannot be empty")
        before = found.row
        master = await self._opened(found, old)
        if master is None:
            self._record.put("wrong passphrase", self._facts_of(found))
            return False
        sealed = await asyncio.to_thread(seal_master_key, new, master, self._cost)
        wipe(master)
        if found.row is not before:
            raise RpcError(RpcCode.WALLET_ERROR, "The passphrase was changed meanwhile: try again.")
        row = replace(before, master=sealed)
        self._record.put("passphrase changed", self._facts_of(found), lambda: self._record.store.put(row))
        found.row = row
        return True

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

    async def export(self, id: str, passphrase: str) -> tuple[KeySet, TextSecrets]:
        """What is public of a set, and its private keys. Raises `RpcError` -14 for a wrong passphrase."""
        found = self._set(id)
        master = await self._opened(found, passphrase)
        if master is None:
            self._record.put("wrong passphrase", self._facts_of(found))
            raise RpcError(RpcCode.WALLET_PASSPHRASE_INCORRECT, "Error: The passphrase entered was incorrect.")
        self._record.put("exported", self._facts_of(found))
        try:
            return found.own.public, secrets_in(unseal(master, id.encode(), found.row.seed))
        finally:
            wipe(master)

    def back_up(self) -> str:
        """All of them, sealed, as text."""
        text = written(self._chain, self._record.store.keysets(), self.names.known)
        self._record.put("backed up", {"keysets": len(self._sets)})
        return text

    def restore(self, text: str) -> list[str]:
        """Keep those of a backup that aren't here; their ids. Raises `RpcError` -8."""
        try:
            backup = read(text, self._chain)
            new = {row.id: Open(row, self._own(row)) for row in backup.rows if row.id not in self._sets}
            for id, found in new.items():
                _check_id(id)
                if found.own.public.id != id:
                    raise NoBackup("It is not what was written: two names for one set of keys.")
        except NoBackup as error:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Nothing was restored. {error}") from error
        except (BTClibException, ValueError, LookupError, TypeError, AttributeError) as error:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Nothing was restored. It is no backup of a signer.") from error
        names = {
            name: id
            for name, id in backup.names.items()
            if id in new and name not in self.names.known and not self.names.is_awaited(name)
        }
        names |= self.names.awaiting(new)

        def keep() -> None:
            for found in new.values():
                self._record.store.put(found.row)
            self.names.write(names)

        self._record.put("restored", {"keysets": list(new)}, keep)
        self._sets |= new
        self.names.learn(names)
        self.on_change()
        return list(new)

    async def bring_back(self, id: str, label: str, xprv: str, passphrase: str) -> KeySet:
        """Keep an exported extended private key, under the id that it had; where it is here already, seal it anew under
        this passphrase. No ``label``: what the wallet is called is told when that is loaded. Raises `RpcError`."""
        try:
            read = BIP32KeyData.b58decode(xprv)
            usable = read.is_private and read.version == network_of(self._chain).bip32_prv
        except (BTClibException, ValueError):
            usable = False
        if not usable:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f"No extended private key of the {self._chain} chain")
        _check_id(id)
        if id != id_of(xprv):
            raise RpcError(
                RpcCode.INVALID_ADDRESS_OR_KEY,
                f"That is the extended private key of other keys than {id}: give both as exportsignerkeys showed them.",
            )
        public = describe(id, xprv, self._network)
        secrets, again = {public.publics[0]: xprv}, id in self._sets
        known_as = label or (self._sets[id].row.label if again else "")
        return await self._keep(public, known_as, secrets, passphrase, "imported", again=again, named=bool(label))

    @staticmethod
    def _facts_of(found: Open) -> dict[str, Any]:
        return {"keyset": found.row.id, "wallet": found.row.label}


def _is_whole(found: Open, master: bytearray, network: str) -> bool:
    """Whether what is public of it, which isn't sealed, is that of its secrets."""
    secrets = secrets_in(unseal(master, found.row.id.encode(), found.row.seed))
    try:
        return derived(found.own.public, secrets.by_public, network) == found.own.public
    except (BTClibException, ValueError):
        return False


def _receipt(row: KeySetRow, passphrase: str, challenge: str) -> Receipt:
    """For what the passphrase opens of what is on the disk."""
    master = open_master_key(passphrase, row.master)
    secrets = secrets_in(unseal(master, row.id.encode(), row.seed))
    wipe(master)
    public = _public(row.public)
    proofs = [
        dsa.sign(challenge_hash(challenge, row.id, one), plain_secret(secrets.secret(one))).hex()
        for one in public.publics
    ]
    return Receipt(public, proofs)


def _check_id(id: str) -> None:
    if len(id) != 32 or not all(digit in "0123456789abcdef" for digit in id):
        raise RpcError(RpcCode.INVALID_PARAMETER, "keyset must be 32 hexadecimal digits, as exportsignerkeys shows")


def _public(text: str) -> KeySet:
    read = json.loads(text)
    publics = read.get("publics") or [read["xpub"]]
    return KeySet(read["id"], publics, [PublicDescriptor(**one) for one in read["descriptors"]])
