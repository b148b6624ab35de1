"""Coins put together by script, and which groups each step of the eligibility ladder may use.

Core's ``OutputGroup``, ``CoinEligibilityFilter`` and ``GroupOutputs`` (``src/wallet/coinselection.cpp``,
``spend.cpp``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bitcoind_mp.wallet.coins import OutputType

from .candidates import Candidate, type_order

#: ``OUTPUT_GROUP_MAX_ENTRIES``: a larger group would surprise people with its fee.
MAX_GROUP = 100


class Group:
    """Coins that are selected together: one coin, or those paid to one script where partial spends are avoided.

    ``amount`` is what selection counts: effective value, or plain value where the outputs pay the fee. ``waste`` is the
    fee now less the fee later. ``weight`` is in weight units, amounts and fees in satoshis.
    """

    __slots__ = (
        "amount",
        "ancestors",
        "cluster",
        "coins",
        "depth",
        "fee",
        "from_me",
        "long_term_fee",
        "value",
        "weight",
    )

    def __init__(self, coins: Sequence[Candidate], subtract_fee: bool = False) -> None:
        self.coins = tuple(coins)
        self.value = sum(coin.amount for coin in coins)
        self.fee = sum(coin.fee for coin in coins)
        self.long_term_fee = sum(coin.long_term_fee for coin in coins)
        self.weight = sum(coin.weight for coin in coins)
        self.from_me = all(coin.from_me for coin in coins)
        self.depth = min((coin.depth for coin in coins), default=999)
        # Shared ancestors are counted for each coin: an overestimate, as in Core.
        self.ancestors = sum(coin.ancestors for coin in coins)
        self.cluster = max((coin.cluster for coin in coins), default=0)
        self.amount = self.value if subtract_fee else self.value - self.fee

    @property
    def waste(self) -> int:
        return self.fee - self.long_term_fee


@dataclass(frozen=True)
class Eligibility:
    """One step of the ladder: confirmations asked of our own and of others' coins, and how long a chain may be."""

    own_depth: int
    others_depth: int
    max_ancestors: int
    max_cluster: int
    partial_groups: bool = False
    mix_types: bool = True

    def admits(self, group: Group) -> bool:
        return (
            group.depth >= (self.own_depth if group.from_me else self.others_depth)
            and group.ancestors <= self.max_ancestors
            and group.cluster <= self.max_cluster
        )


@dataclass
class Pool:
    """Groups to choose from: ``positive`` those worth something after fees, ``mixed`` all of them."""

    positive: list[Group] = field(default_factory=list)
    mixed: list[Group] = field(default_factory=list)


@dataclass
class TypedPools:
    """One pool for each type of output, and one of all."""

    by_type: dict[OutputType | None, Pool] = field(default_factory=dict)
    everything: Pool = field(default_factory=Pool)

    def push(self, group: Group, kind: OutputType | None, positive: bool, mixed: bool) -> None:
        pool = self.by_type.setdefault(kind, Pool())
        if positive and group.amount > 0:
            pool.positive.append(group)
            self.everything.positive.append(group)
        if mixed:
            pool.mixed.append(group)
            self.everything.mixed.append(group)


@dataclass
class Grouped:
    """Every step's pools, in the ladder's order, and the groups that no step admits."""

    steps: list[TypedPools]
    discarded: list[Group] = field(default_factory=list)


def group_coins(
    coins: Iterable[Candidate], ladder: Sequence[Eligibility], *, subtract_fee: bool, avoid_partial: bool
) -> Grouped:
    """Put the coins into groups and the groups into the pools of each step that admits them."""
    ordered = sorted(coins, key=lambda coin: type_order(coin.kind))
    result = Grouped([TypedPools() for _ in ladder])
    if not avoid_partial:
        for coin in ordered:
            _file(result, ladder, Group((coin,), subtract_fee), coin.kind, positive=True, mixed=True)
    else:
        _file_by_script(result, ladder, ordered, subtract_fee, positive=False)
        worthwhile = [coin for coin in ordered if coin.effective_value > 0]
        _file_by_script(result, ladder, worthwhile, subtract_fee, positive=True)
    return result


def _file(
    result: Grouped,
    ladder: Sequence[Eligibility],
    group: Group,
    kind: OutputType | None,
    *,
    positive: bool,
    mixed: bool,
    partial: bool = False,
) -> None:
    accepted = False
    for step, pools in zip(ladder, result.steps, strict=True):
        if step.admits(group) and (step.partial_groups or not partial):
            pools.push(group, kind, positive, mixed)
            accepted = True
    if not accepted:
        result.discarded.append(group)


def _file_by_script(
    result: Grouped,
    ladder: Sequence[Eligibility],
    coins: Sequence[Candidate],
    subtract_fee: bool,
    *,
    positive: bool,
) -> None:
    """One group a script, several where there are more than `MAX_GROUP` coins: then the last is a partial one."""
    by_script: dict[tuple[bytes, OutputType | None], list[Candidate]] = {}
    for coin in coins:
        by_script.setdefault((coin.script, coin.kind), []).append(coin)
    for (_, kind), same in sorted(by_script.items(), key=lambda item: (item[0][0], type_order(item[0][1]))):
        chunks = [same[start : start + MAX_GROUP] for start in range(0, len(same), MAX_GROUP)]
        for number in reversed(range(len(chunks))):
            _file(
                result,
                ladder,
                Group(chunks[number], subtract_fee),
                kind,
                positive=positive,
                mixed=not positive,
                partial=len(chunks) > 1 and number == len(chunks) - 1,
            )
