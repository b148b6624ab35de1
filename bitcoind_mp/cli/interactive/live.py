"""What completion has to choose from, fetched when Tab asks for it and kept until a notification says it is old."""

from decimal import Decimal
from typing import Any

from bitcoind_mp.cli.arguments import Command
from bitcoind_mp.interfaces.errors import RpcError

from .client import Connections
from .complete import ADDRESS, BLOCK, LABEL, TXID, WALLET, WALLET_FILE, Known, list_files

#: Seconds that Tab waits for a server.
PATIENCE = 2.0
#: Which notifications make what was fetched old.
OUTDATES = frozenset({"balance", "tip", "mempool", "up", "unit"})


class LiveData:
    """`Known`, kept up to date for the kind of thing that is asked for."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._fetched: dict[tuple[str, str | None], Any] = {}
        connections.listeners.add(self._outdate)

    def _outdate(self, topic: str) -> None:
        if topic in OUTDATES:
            self._fetched.clear()

    def now(self) -> Known:
        """What is known without asking anybody."""
        seen = self._connections.seen
        known = Known(commands=self._connections.commands(), list_files=list_files)
        known.wallets = [wallet["name"] for wallet in (seen.balance or {}).get("wallets", [])]
        known.units = [unit["name"] for unit in (seen.unit or {}).get("units", [])]
        if seen.tip is not None:
            known.blocks = {seen.tip["hash"]: f"tip, height {seen.tip['height']}"}
        return known

    async def with_kinds(self, kinds: list[str], known: Known, wallet: str | None) -> Known:
        """The same with what has to be asked for."""
        wallet = wallet if wallet is not None else self._connections.seen.wallet
        for kind in kinds:
            if kind == WALLET and not known.wallets:
                known.wallets = await self._list("listwallets", wallet)
            elif kind == WALLET_FILE:
                known.wallet_files = await self._wallet_files(known, wallet)
            elif kind == LABEL:
                known.labels = [label for label in await self._list("listlabels", wallet) if label]
            elif kind == ADDRESS:
                known.addresses = await self._addresses(wallet)
            elif kind == TXID:
                known.txids = await self._txids(wallet)
            elif kind == BLOCK:
                continue
        return known

    async def _wallet_files(self, known: Known, wallet: str | None) -> list[str]:
        answer = await self._ask("listwalletdir", {}, wallet)
        names = [entry["name"] for entry in answer.get("wallets", [])] if isinstance(answer, dict) else []
        return [name for name in names if name not in known.wallets]

    async def _addresses(self, wallet: str | None) -> dict[str, str]:
        rows = await self._ask("listreceivedbyaddress", {"minconf": 0, "include_empty": True}, wallet)
        return {row["address"]: str(row.get("label", "")) for row in rows or [] if "address" in row}

    async def _txids(self, wallet: str | None) -> dict[str, str]:
        rows = await self._ask("listtransactions", {"count": 200}, wallet)
        found = {row["txid"]: _told(row) for row in reversed(rows or [])}
        pool = await self._ask("getrawmempool", {}, wallet)
        return {**found, **{txid: "mempool" for txid in pool or [] if txid not in found}}

    async def _list(self, name: str, wallet: str | None) -> list[str]:
        answer = await self._ask(name, {}, wallet)
        return answer if isinstance(answer, list) else []

    async def _ask(self, name: str, params: dict[str, Any], wallet: str | None) -> Any:
        """A read, once until the next notification; None where nobody answers at once."""
        key = (name, wallet)
        if key not in self._fetched:
            try:
                found = self._connections.find(name, wallet)
            except RpcError:  # nobody can tell which wallet is meant
                return None
            if found is None or found[0].session is None:
                return None
            self._fetched[key] = await self._call(found[1], found[0].session, params, wallet)
        return self._fetched[key]

    async def _call(self, command: Command, session: Any, params: dict[str, Any], wallet: str | None) -> Any:
        try:
            return await session.call(command.name, params, wallet=wallet, timeout=PATIENCE)
        except (TimeoutError, RpcError, OSError):
            return None


def _told(row: dict[str, Any]) -> str:
    """What is said beside a transaction."""
    amount = row.get("amount")
    shown = f"{amount:f} " if isinstance(amount, Decimal) else ""
    return f"{row.get('category', '')} {shown}{row.get('label', '')}".strip()
