"""The owner's commands: what waits for a word, what the policy is, keys in and out, passphrases. No worker can call
these."""

from typing import Any

from bitcoind_mp.interfaces.amounts import COIN
from bitcoind_mp.interfaces.command import Secret, command, commit_point
from bitcoind_mp.signing.descriptor_keys import private_text

from .keyset import is_standard
from .tickets import Purpose, Tickets
from .vault import Vault


class OwnerCommands:
    """See the module."""

    def __init__(self, vault: Vault, tickets: Tickets, chain: str) -> None:
        self._vault = vault
        self._tickets = tickets
        self._chain = chain

    @command("signer")
    def getsignerinfo(self) -> dict[str, Any]:
        """Tells what the signer holds, and what it may sign.

        Returns:
            chain; keysets: keyset, wallet, created and unlocked of each; policy: maxtx, maxday (BTC, null: no limit),
            allow (addresses, null: all), confirm; spent: what counts towards maxday now (BTC); requests: how many
            signatures wait for a word
        """
        policy = self._vault.policy
        return {
            "chain": self._chain,
            "keysets": self._vault.keysets(),
            "policy": {
                "maxtx": _coins(policy.max_tx),
                "maxday": _coins(policy.max_day),
                "allow": None if policy.allowed is None else sorted(policy.allowed.values()),
                "confirm": policy.confirm.value,
            },
            "spent": _coins(self._vault.spent_today()),
            "requests": len(self._vault.requests),
        }

    @command("signer")
    def listsigningrequests(self) -> list[dict[str, Any]]:
        """Lists the signatures that wait for confirmsigning or rejectsigning.

        Returns:
            id, since (seconds since 1970), what, keyset, wallet, and what it spends: txid, spends (BTC that leave the
            wallet, fee and all), pays (to, amount), because (what the policy has against it)
        """
        return [{"id": request.id, "since": request.since, **request.facts} for request in self._vault.requests]

    @command("signer", changes=True)
    def confirmsigning(self, id: str) -> None:
        """Let a signature be made that waits for it.

        Args:
            id: As listsigningrequests shows it
        """
        self._vault.answer(id, True)

    @command("signer", changes=True)
    def rejectsigning(self, id: str) -> None:
        """Refuse a signature that waits.

        Args:
            id: As listsigningrequests shows it
        """
        self._vault.answer(id, False)

    @command("signer", changes=True)
    def locksigner(self) -> None:
        """Lock the keys of all wallets at once. A wallet that thinks it is unlocked is told so when it next signs."""
        self._vault.lock_all()

    @command("signer", changes=True, hidden=True)
    async def entrustpassphrase(
        self,
        purpose: str,
        wallet: str,
        passphrase: Secret = "",
        newpassphrase: Secret = "",
        seconds: int = 0,
    ) -> dict[str, Any]:
        """Takes a passphrase for the wallet's next request, so that its process needn't be told. bitcoin-mp calls this.

        Args:
            purpose: unlock, change, make, move; or lock, which is done at once
            wallet: The wallet's name
            passphrase: It, as it is now
            newpassphrase: For change: as it is to be
            seconds: For unlock: for how long at most

        Returns:
            ticket, to be given to the wallet in the passphrase's place (of change, in both), null where the signer has
            no keys by the wallet's name; absent, whether it ought to have them, by the wallet's word; and keysets, how
            many the signer has at all
        """
        ticket = None
        id = self._vault.names.of(wallet)
        if purpose in (Purpose.MAKE, Purpose.MOVE):
            ticket = self._tickets.issue(Purpose(purpose), wallet, passphrase)
        elif id is not None and purpose in (Purpose.UNLOCK, Purpose.CHANGE):
            ticket = self._tickets.issue(Purpose(purpose), id, passphrase, new=newpassphrase, seconds=seconds)
        elif id is not None and purpose == "lock":
            await self._vault.lock(id)
        absent = self._vault.names.is_awaited(wallet)
        return {"ticket": ticket, "absent": absent, "keysets": len(self._vault.keysets())}

    @command("signer", changes=True)
    def forgetsignername(self, wallet: str) -> None:
        """Have a wallet's name stand for no keys of the signer's any more, where another wallet has it now. The keys
        stay.

        Args:
            wallet: The wallet's name
        """
        self._vault.names.forget(wallet)

    @command("signer", changes=True)
    def backupsigner(self) -> str:
        """Shows all keys that the signer holds, each set sealed under its wallet's passphrase, as one line of text.

        Keep it in a file, and a new one after each new wallet and new passphrase. What was spent, for signermaxday, and
        the audit log are not in it.

        Returns:
            What restoresigner takes
        """
        return self._vault.back_up()

    @command("signer", changes=True)
    def restoresigner(self, backup: str) -> list[str]:
        """Brings back the keys of a backup that aren't here. With -stdin it is read from a file, as in
        bitcoin-mp -stdin restoresigner <FILE.

        Args:
            backup: As backupsigner showed it

        Returns:
            The keysets that were brought back
        """
        return self._vault.restore(backup)

    @command("signer", changes=True)
    async def exportsignerkeys(self, keyset: str, passphrase: Secret) -> dict[str, Any]:
        """Shows the private keys of a wallet whose keys the signer holds: keep the answer as their backup.

        Args:
            keyset: As getsignerinfo shows it
            passphrase: The wallet's passphrase, asked for even while it is unlocked

        Returns:
            keyset; xprv (what importsignerkeys takes, null for keys that were moved in); descriptors: the private ones;
            importdescriptors: the parameter with which importdescriptors has a blank wallet hold these keys itself
        """
        keys, secrets = await self._vault.export(keyset, passphrase)
        texts = [private_text(one.text, secrets) for one in keys.descriptors]
        rows = [
            {
                "desc": text,
                "timestamp": 0,
                **({"active": True, "internal": one.internal} if one.active else {}),
            }
            for text, one in zip(texts, keys.descriptors, strict=True)
        ]
        only = keys.publics[0] if len(keys.publics) == 1 else ""
        xprv = secrets.secret(only) if only and is_standard(keys, chain=self._chain) else None
        return {"keyset": keyset, "xprv": xprv, "descriptors": texts, "importdescriptors": rows}

    @command("signer", changes=True)
    async def importsignerkeys(self, keyset: str, xprv: Secret, passphrase: Secret, wallet: str = "") -> None:
        """Brings back what exportsignerkeys showed, for a wallet that is restored from its backup.

        Args:
            keyset: As it was exported
            xprv: As it was exported
            passphrase: What to seal it under: the wallet's passphrase from now on
            wallet: The wallet's name, for people
        """
        commit_point()
        await self._vault.bring_back(keyset, wallet, xprv, passphrase)


def _coins(amount: int | None) -> str | None:
    return None if amount is None else f"{amount // COIN}.{amount % COIN:08d}"
