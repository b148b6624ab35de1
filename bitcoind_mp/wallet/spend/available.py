"""The coins that a transaction may be made from: those the wallet offers, and those a person chose.

Core's ``AvailableCoins`` beyond what the wallet itself filters, and ``FetchSelectedInputs`` (``src/wallet/spend.cpp``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bitcoind_mp.interfaces.chain import Chain
from bitcoind_mp.wallet.coins import Coin, CoinFilter, OutPoint
from bitcoind_mp.wallet.wallet import Wallet

from .candidates import Candidate
from .control import CoinControl, Preset
from .errors import SpendError
from .keys import Solver, can_grind
from .limits import TRUC_VERSION
from .rates import vsize_of
from .sizes import InputSize, Satisfaction, satisfaction


class Inputs:
    """What one transaction knows of the inputs it may have."""

    def __init__(self, wallet: Wallet, control: CoinControl) -> None:
        self._wallet = wallet
        self._control = control
        self._solver = Solver(wallet)

    def vsize(self, script: bytes) -> int:
        """Virtual bytes of an input spending a script of the wallet's, -1 where we can't solve it."""
        found = self._solver.satisfaction(script)
        return -1 if found is None else vsize_of(found.input_weight(tx_is_segwit=True))

    def size(self, outpoint: OutPoint, script: bytes) -> InputSize:
        """What is known of the size of that input in the final transaction."""
        preset = self._control.presets.get(outpoint, Preset())
        if preset.is_external:
            # Another's signer may not grind its signatures.
            found = satisfaction(script, self._control.external, max_signature=True)
        else:
            found = self._solver.satisfaction(script) or self._external(script)
        return InputSize(script, found, preset.weight)

    def _external(self, script: bytes) -> Satisfaction | None:
        """How a script is satisfied that only the solving data explain."""
        return satisfaction(script, self._control.external, max_signature=not can_grind(self._wallet))

    async def available(self, rate: int, long_term_rate: int, wanted: CoinFilter | None = None) -> list[Candidate]:
        """The wallet's coins that may be chosen, with their costs at ``rate`` (sat/kvB)."""
        control, chain = self._control, self._wallet.chain
        coins = [coin for coin in self._wallet.coins(wanted or self.filter()) if coin.outpoint not in control.presets]
        waiting = {coin.outpoint.txid for coin in coins if coin.depth <= 0}
        around = await _surroundings(chain, waiting)
        if control.version == TRUC_VERSION:
            coins = _one_truc_parent(coins, around)
        bumps = await bump_fees(chain, (coin.outpoint for coin in coins if coin.depth <= 0), rate)
        return [
            replace(
                self._candidate(coin).priced(rate, long_term_rate, bumps.get(coin.outpoint, 0)),
                ancestors=around.get(coin.outpoint.txid, (0, 0))[0],
                cluster=around.get(coin.outpoint.txid, (0, 0))[1],
            )
            for coin in coins
        ]

    def filter(self, min_amount: int = 1) -> CoinFilter:
        """Which of the wallet's coins the person's choices admit."""
        control = self._control
        return CoinFilter(
            min_depth=control.min_depth,
            max_depth=control.max_depth,
            min_amount=min_amount,
            include_unsafe=control.include_unsafe,
            include_reused=not (self._wallet.avoid_reuse and control.avoid_reuse),
            version=control.version,
        )

    def _candidate(self, coin: Coin) -> Candidate:
        return Candidate(
            outpoint=coin.outpoint,
            amount=coin.amount,
            script=coin.script,
            kind=coin.type,
            depth=coin.depth,
            vsize=self.vsize(coin.script),
            from_me=coin.from_me,
        )

    async def chosen(self, rate: int, long_term_rate: int) -> list[Candidate]:
        """The inputs that a person chose.

        Raises:
            SpendError: one is unknown, can't be solved, or has the wrong version.
        """
        presets = self._control.presets
        bumps = await bump_fees(self._wallet.chain, presets, rate)
        return [
            self._preset(outpoint, preset).priced(rate, long_term_rate, bumps[outpoint])
            for outpoint, preset in sorted(presets.items())
        ]

    def _preset(self, outpoint: OutPoint, preset: Preset) -> Candidate:
        vsize = -1 if preset.weight is None else vsize_of(preset.weight)
        coin = self._wallet.coin(outpoint)
        if coin is not None:
            amount, script = coin.amount, coin.script
            if vsize == -1:
                vsize = self.vsize(script)
            self._check_version(coin)
        elif preset.amount is not None:
            amount, script = preset.amount, preset.script
        else:
            raise SpendError(f"Not found pre-selected input {_short(outpoint)}")
        if vsize == -1:
            found = self._external(script)
            if found is None:
                raise SpendError(f"Not solvable pre-selected input {_short(outpoint)}")
            vsize = vsize_of(found.input_weight(tx_is_segwit=True))
        return Candidate(outpoint, amount, script, kind=None, depth=0, vsize=vsize)

    def _check_version(self, coin: Coin) -> None:
        parent = self._wallet.transaction(coin.outpoint.txid)
        if parent is not None and self._wallet.depth(parent) == 0:
            check_truc(coin.version, self._control.version)


def check_truc(parent: int, version: int) -> None:
    """Version 3 transactions and others don't spend one another unconfirmed.

    Raises:
        SpendError: these would.
    """
    if parent == TRUC_VERSION and version != TRUC_VERSION:
        raise SpendError(f"Can't spend unconfirmed version 3 pre-selected input with a version {version} tx")
    if version == TRUC_VERSION and parent != TRUC_VERSION:
        raise SpendError(f"Can't spend unconfirmed version {parent} pre-selected input with a version 3 tx")


async def bump_fees(chain: Chain, outpoints: Iterable[OutPoint], rate: int) -> dict[OutPoint, int]:
    """What each outpoint's unconfirmed ancestors lack to reach ``rate``, in satoshis."""
    asked = list(outpoints)
    if not asked:
        return {}
    found = await chain.bump_fees([(outpoint.txid.hex(), outpoint.n) for outpoint in asked], rate)
    return dict(zip(asked, found, strict=True))


async def _surroundings(chain: Chain, txids: Iterable[bytes]) -> dict[bytes, tuple[int, int]]:
    """For each transaction in the mempool: how many ancestors it has and how large its cluster is, itself included."""
    asked = sorted(txids)
    if not asked:
        return {}
    found = await chain.packages([txid.hex() for txid in asked])
    return {
        txid: (package.ancestors, package.cluster)
        for txid, package in zip(asked, found, strict=True)
        if package is not None
    }


def _one_truc_parent(coins: Sequence[Coin], around: dict[bytes, tuple[int, int]]) -> list[Coin]:
    """A version 3 transaction may have one unconfirmed parent and no grandparent: of those that could be it, the one
    that offers most."""
    offers: dict[bytes, int] = {}
    for coin in coins:
        if coin.depth <= 0 and around.get(coin.outpoint.txid, (1, 1))[0] <= 1:
            offers[coin.outpoint.txid] = offers.get(coin.outpoint.txid, 0) + coin.amount
    best = max(offers, key=lambda txid: offers[txid], default=b"")
    return [coin for coin in coins if coin.depth > 0 or coin.outpoint.txid == best]


def _short(outpoint: OutPoint) -> str:
    """An outpoint as Core's ``COutPoint::ToString`` writes it."""
    return f"COutPoint({outpoint.txid.hex()[:10]}, {outpoint.n})"
