"""By which names wallets go whose keys are here, or ought to be: what the owner says about a wallet by its name is then
for the signer to hear, and not for the wallet's process.

The newest counts. What doesn't belong: the keys (``keysets.py``).
"""

from collections.abc import Collection, Mapping
from typing import Any

from bitcoind_mp.interfaces.errors import RpcCode, RpcError

from .record import Record

#: Names of wallets that one key set may have: a wallet that was broken into could make them up for ever.
_MOST_NAMES = 100
#: Wallets whose keys aren't here, of which is known at once.
_MOST_AWAITED = 10_000


class Names:
    """Those of one signer. Which keys are awaited only memory knows: each wallet says so whenever it is loaded, and
    whenever the signer is back."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._known = record.store.names()
        self._awaited: dict[str, str] = {}

    @property
    def known(self) -> Mapping[str, str]:
        """Which set each name stands for."""
        return self._known

    def of(self, wallet: str) -> str | None:
        """Which set a wallet's name stands for, None for none that is here."""
        return None if wallet in self._awaited else self._known.get(wallet)

    def is_awaited(self, wallet: str) -> bool:
        """Whether a wallet of that name has keys that ought to be here and aren't."""
        return wallet in self._awaited

    def await_keys(self, id: str, wallet: str) -> None:
        """A wallet of that name has such keys."""
        self._awaited.pop(wallet, None)
        while len(self._awaited) >= _MOST_AWAITED:
            del self._awaited[next(iter(self._awaited))]
        self._awaited[wallet] = id

    def awaiting(self, ids: Collection[str]) -> dict[str, str]:
        """The names of wallets that wait for these sets."""
        return {wallet: id for wallet, id in self._awaited.items() if id in ids}

    def introduce(self, id: str, wallet: str, facts: Mapping[str, Any]) -> None:
        """A wallet of that name has these keys, which are here. Raises `RpcError` -4 for one name too many."""
        if self._known.get(wallet) != id:
            if sum(known == id for known in self._known.values()) >= _MOST_NAMES:
                raise RpcError(RpcCode.WALLET_ERROR, f"The keys {id} have {_MOST_NAMES} wallets' names already.")
            names = {wallet: id}
            self._record.put("named", {**facts, "as": wallet}, lambda: self.write(names))
        self.learn({wallet: id})

    def write(self, names: Mapping[str, str]) -> None:
        """Note them in the store, in a transaction of whoever calls; `learn` is then due."""
        for wallet, id in names.items():
            self._record.store.name(wallet, id)

    def learn(self, names: Mapping[str, str]) -> None:
        """They are in the store."""
        self._known |= names
        for wallet in names:
            self._awaited.pop(wallet, None)

    def forget(self, wallet: str) -> None:
        """That name stands for no keys here any more, nor for awaited ones. Raises `RpcError` -8 where it stands for
        none."""
        id = self._known.get(wallet)
        if self._awaited.pop(wallet, None) is not None and id is None:
            return
        if id is None:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"The signer has no keys of a wallet named {wallet}")
        facts = {"keyset": id, "wallet": wallet}
        self._record.put("name forgotten", facts, lambda: self._record.store.name(wallet, None))
        del self._known[wallet]
