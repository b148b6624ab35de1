"""How the wallets are: for the supervisor's checks and the status line."""

from collections.abc import Callable, Sequence

from bitcoind_mp.interfaces.health import Health, HealthCheck

from .app import WalletApp
from .chain.follow import Attachment
from .keyring.signer_keys import SignerKeys
from .wallet import Wallet


class WalletHealth(HealthCheck):
    """How the process is, from what it knows: no call, no disk. ``counters`` gives the process's own figures."""

    def __init__(
        self,
        app: WalletApp,
        counters: Callable[[], dict[str, int]],
        protections: Sequence[str],
        unprotected: Sequence[str],
    ) -> None:
        self._app = app
        self._counters = counters
        self._protections = list(protections)
        self._unprotected = list(unprotected)

    async def check(self) -> Health:
        wallets = list(self._app.wallets)
        problems = [self._app.startup.problem] if self._app.startup.problem else []
        problems += [f"The wallet {name!r} was not loaded: {why}" for name, why in self._app.wallets.refused.items()]
        for wallet in wallets:
            problem = self._app.wallets.attachment(wallet).problem
            if problem:
                problems.append(f"The wallet {wallet.name!r} doesn't follow the chain: {problem}")
            if isinstance(wallet.keys, SignerKeys) and wallet.keys.problem:
                problems.append(f"The wallet {wallet.name!r} can't sign: {wallet.keys.problem}")
        counters = {**self._counters(), "wallets": len(wallets)}
        parts = {wallet.name: self._figures(wallet) for wallet in wallets}
        return Health(self.status(), problems, counters, parts, self._protections, self._unprotected)

    def _figures(self, wallet: Wallet) -> dict[str, int]:
        target = self._app.wallets.attachment(wallet).target
        return {"height": wallet.height, "lag": max(0, target - wallet.height)}

    def status(self) -> str:
        """One line for a person."""
        wallets = list(self._app.wallets)
        count = f"{len(wallets)} wallet{'s' if len(wallets) != 1 else ''} loaded"
        if self._app.upstream.away_since is not None:
            busy = self._app.upstream.busy_at is not None
            return f"{count}, waiting for the node" + (
                f", which is coming up: {self._app.upstream.reason}" if busy else ""
            )
        attached = [self._app.wallets.attachment(wallet) for wallet in wallets]
        behind = [one for one in attached if not one.is_live]
        if behind:
            return f"{count}, {how_far(behind)}"
        scanning = [one for one in attached if one.wallet.scanning is not None]
        if scanning:
            return f"{count}, {scanning[0].wallet.name!r} scanning older blocks ({_percent(scanning[0].done[1])})"
        if wallets and not self._app.upstream.has_all(wallets[0].block_time):
            return f"{count}, at height {wallets[0].height}, as far as the node is with its initial download"
        return f"{count}, synced at height {wallets[0].height}" if wallets else count


def how_far(behind: list[Attachment]) -> str:
    """How far the one is that has furthest to go."""
    last = min(behind, key=lambda one: one.wallet.height)
    height, target = last.wallet.height, max(last.target, last.wallet.height)
    others = f", and {len(behind) - 1} more" if len(behind) > 1 else ""
    if target <= 0:
        return f"{last.wallet.name!r} catching up at height {height}{others}"
    share = _percent(max(height, 0) / target)
    return f"{last.wallet.name!r} catching up at height {height} of {target} ({share}){others}"


def _percent(part: float) -> str:
    """Rounded down: it is all there only when it is."""
    return f"{int(part * 100)} %"
