"""What kind of wallet it is: Core's wallet flags, kept as facts of the ledger."""

from bitcoind_mp.interfaces.errors import RpcCode, RpcError

from .ledger import Ledger

DISABLE_PRIVATE_KEYS = "disable_private_keys"
BLANK = "blank"
AVOID_REUSE = "avoid_reuse"


class Flags:
    """The flags of one wallet."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._set: set[str] = set()
        self.reload()

    def reload(self) -> None:
        """Read what the ledger holds."""
        self._set = {name for name in (DISABLE_PRIVATE_KEYS, BLANK, AVOID_REUSE) if self._ledger.fact(name)}

    def __contains__(self, name: str) -> bool:
        return name in self._set

    def set(self, name: str, on: bool = True) -> None:
        """Switch a flag. In a ledger transaction."""
        self._ledger.set_fact(name, 1 if on else None)
        self._set = self._set | {name} if on else self._set - {name}

    def names(self) -> list[str]:
        """As `getwalletinfo` lists them, in Core's order (``WALLET_FLAG_TO_STRING`` by bit)."""
        always = ["last_hardened_xpub_cached", "descriptor_wallet"]
        bits = {
            "avoid_reuse": 0,
            "last_hardened_xpub_cached": 2,
            "disable_private_keys": 32,
            "blank": 33,
            "descriptor_wallet": 34,
        }
        return sorted([*always, *self._set], key=lambda name: bits[name])


def reuse_flag(flags: Flags, asked: bool | None) -> bool:
    """The ``avoid_reuse`` parameter: by default what the wallet is (``GetAvoidReuseFlag``).

    Raises `RpcError` (-4) where it isn't that kind of wallet."""
    can = AVOID_REUSE in flags
    if asked and not can:
        raise RpcError(RpcCode.WALLET_ERROR, 'wallet does not have the "avoid reuse" feature enabled')
    return can if asked is None else asked
