"""What the wallet has, worked out from its history at a height: trust, balances, coins, groups of addresses.

The rules are Core's (``src/wallet/receive.cpp`` and ``AvailableCoins`` in ``src/wallet/spend.cpp``). Pure: it reads a
history and an address book and changes nothing.
"""

from collections.abc import Callable, Iterator
from enum import Enum, auto

from bitcoind_mp.wallet.addressing.addresses import coin_type, destination_order, has_address
from bitcoind_mp.wallet.addressing.book import AddressBook
from bitcoind_mp.wallet.addressing.descriptors import DescriptorSet
from bitcoind_mp.wallet.coins import Balance, Coin, CoinFilter, OutPoint, OutputType
from bitcoind_mp.wallet.transactions import WalletTx

from .history import History, Output

#: Confirmations before a coinbase's outputs may be spent, its own block included.
COINBASE_MATURITY = 100
_TRUC_VERSION = 3


class HowSpent(Enum):
    """In which way an output is spent (``SpendType``)."""

    UNSPENT = auto()
    CONFIRMED = auto()
    MEMPOOL = auto()
    NONMEMPOOL = auto()


class View:
    """The wallet's holdings as of ``tip``, the height of the newest block processed."""

    def __init__(
        self, history: History, book: AddressBook, descriptors: DescriptorSet, tip: int, spend_zero_conf_change: bool
    ) -> None:
        self._history = history
        self._book = book
        self._descriptors = descriptors
        self._tip = tip
        self._spend_zero_conf_change = spend_zero_conf_change
        self._trusted: set[bytes] = set()

    def depth(self, tx: WalletTx) -> int:
        """Confirmations; negative for a conflicted one."""
        return self._history.depth(tx, self._tip)

    def blocks_to_maturity(self, tx: WalletTx) -> int:
        """How many blocks a coinbase still has to wait (``GetTxBlocksToMaturity``)."""
        return max(0, COINBASE_MATURITY + 1 - self.depth(tx)) if tx.is_coinbase else 0

    def is_immature(self, tx: WalletTx) -> bool:
        """A coinbase that can't be spent yet."""
        return self.blocks_to_maturity(tx) > 0

    def is_trusted(self, tx: WalletTx) -> bool:
        """Confirmed, or in the mempool and ours, as all its unconfirmed parents are (``CachedTxIsTrusted``)."""
        if tx.txid in self._trusted or tx.is_confirmed:
            return True
        if tx.is_block_conflicted or not self._spend_zero_conf_change or not tx.in_mempool:
            return False
        if not self._history.is_from_me(tx):
            return False
        for outpoint in tx.spends:
            parent = self._history.get(outpoint.txid)
            if parent is None or outpoint not in self._history.outputs or not self.is_trusted(parent):
                return False
        self._trusted.add(tx.txid)
        return True

    def how_spent(self, outpoint: OutPoint) -> HowSpent:
        """``HowSpent``"""
        found = HowSpent.UNSPENT
        for spender in self._history.spenders(outpoint):
            if spender.is_confirmed:
                return HowSpent.CONFIRMED
            if spender.in_mempool:
                found = HowSpent.MEMPOOL
            elif not (spender.is_abandoned or spender.is_block_conflicted or spender.is_mempool_conflicted):
                found = HowSpent.NONMEMPOOL if found is HowSpent.UNSPENT else found
        return found

    def balance(self, min_depth: int = 0, avoid_reuse: bool = True, include_nonmempool: bool = False) -> Balance:
        """``GetBalance``. ``avoid_reuse`` counts coins on reused addresses apart."""
        sums = dict.fromkeys(("trusted", "pending", "immature", "used", "nonmempool"), 0)
        for outpoint, output in self._history.outputs.items():
            how = self.how_spent(outpoint)
            if how in (HowSpent.CONFIRMED, HowSpent.MEMPOOL):
                continue
            spent = how is HowSpent.NONMEMPOOL
            if spent and not include_nonmempool:
                continue
            tx = self._owner_tx(outpoint)
            trusted = self.is_trusted(tx)
            if tx.is_confirmed and self.is_immature(tx):
                bucket = "immature"
            elif trusted and self.depth(tx) >= min_depth:
                bucket = "trusted"
            elif not trusted and tx.in_mempool:
                bucket = "pending"
            else:
                continue
            if avoid_reuse and self._book.is_spent(output.script):
                bucket = "used"
            sums[bucket] += output.amount
            if spent:
                sums["nonmempool"] -= output.amount
        return Balance(**sums)

    def _owner_tx(self, outpoint: OutPoint) -> WalletTx:
        tx = self._history.get(outpoint.txid)
        assert tx is not None, "an output of ours belongs to a transaction of ours"
        return tx

    def coins(self, wanted: CoinFilter, is_locked: Callable[[OutPoint], bool]) -> Iterator[Coin]:
        """The unspent outputs that pass (``AvailableCoins``)."""
        total = count = 0
        for outpoint, output in self._history.outputs.items():
            tx = self._owner_tx(outpoint)
            if not wanted.min_amount <= output.amount <= wanted.max_amount or not self._admits(wanted, tx):
                continue
            if (not wanted.include_locked and is_locked(outpoint)) or self._history.is_spent(outpoint):
                continue
            if not wanted.include_reused and self._book.is_spent(output.script):
                continue
            yield self.coin(outpoint, output, tx)
            total += output.amount
            count += 1
            if total >= wanted.min_sum or count == wanted.max_count:
                return

    def _admits(self, wanted: CoinFilter, tx: WalletTx) -> bool:
        """What is asked of a coin's transaction."""
        depth = self.depth(tx)
        if not wanted.include_immature and self.is_immature(tx):
            return False
        if depth < 0 or (depth == 0 and not tx.in_mempool):
            return False
        if depth == 0 and wanted.version is not None:
            if (tx.tx.version == _TRUC_VERSION) != (wanted.version == _TRUC_VERSION):
                return False
            if tx.truc_child_in_mempool is not None:
                return False
        if not wanted.include_unsafe and not self.is_safe(tx):
            return False
        return wanted.min_depth <= depth <= wanted.max_depth

    def is_safe(self, tx: WalletTx) -> bool:
        """Trusted, and neither replacing another nor replaced while unconfirmed: see ``AvailableCoins`` for why."""
        if self.depth(tx) == 0 and (tx.replaces is not None or tx.replaced_by is not None):
            return False
        return self.is_trusted(tx)

    def coin(self, outpoint: OutPoint, output: Output, tx: WalletTx) -> Coin:
        """One output with all that is known of it."""
        descriptor = self._descriptors.get(output.owner.descriptor)
        return Coin(
            outpoint=outpoint,
            amount=output.amount,
            script=output.script,
            owner=output.owner,
            depth=self.depth(tx),
            time=tx.time,
            type=self._type(output, descriptor.output_type, descriptor.is_solvable),
            from_me=self._history.is_from_me(tx),
            trusted=self.is_trusted(tx),
            safe=self.is_safe(tx),
            solvable=descriptor.is_solvable,
            spendable=True,
            change=self._book.is_change(output.script, ours=True),
            reused=self._book.is_spent(output.script),
            coinbase=tx.is_coinbase,
            version=tx.tx.version,
        )

    @staticmethod
    def _type(output: Output, descriptor_type: OutputType | None, solvable: bool) -> OutputType | None:
        if solvable and descriptor_type is OutputType.P2SH_SEGWIT:
            return OutputType.P2SH_SEGWIT
        return coin_type(output.script, None)

    def address_balances(self) -> dict[bytes, int]:
        """What lies on each script of ours that has an address (``GetAddressBalances``)."""
        balances: dict[bytes, int] = {}
        for outpoint, output in self._history.outputs.items():
            tx = self._owner_tx(outpoint)
            if not self.is_trusted(tx) or self.is_immature(tx):
                continue
            if self.depth(tx) < (0 if self._history.is_from_me(tx) else 1) or not has_address(output.script):
                continue
            amount = 0 if self._history.is_spent(outpoint) else output.amount
            balances[output.script] = balances.get(output.script, 0) + amount
        return balances

    def groupings(self) -> list[list[bytes]]:
        """Our scripts by common ownership made public: inputs of one transaction, and its change
        (``GetAddressGroupings``); each group, and the groups, in the order of Core's sets."""
        group_of: dict[bytes, set[bytes]] = {}
        for tx in self._history:
            inputs = [
                self._history.outputs[outpoint].script for outpoint in tx.spends if outpoint in self._history.outputs
            ]
            if inputs:
                change = [
                    out.script_pub_key.script
                    for out in tx.tx.vout
                    if self._book.is_change(out.script_pub_key.script, ours=self._is_ours(out.script_pub_key.script))
                ]
                _join(group_of, [script for script in (*inputs, *change) if has_address(script)])
            for out in tx.tx.vout:
                script = out.script_pub_key.script
                if self._is_ours(script) and has_address(script):
                    _join(group_of, [script])
        groups = {id(group): sorted(group, key=destination_order) for group in group_of.values()}
        return sorted(groups.values(), key=lambda group: [destination_order(script) for script in group])

    def _is_ours(self, script: bytes) -> bool:
        return self._descriptors.owner(script) is not None


def _join(group_of: dict[bytes, set[bytes]], scripts: list[bytes]) -> None:
    merged = set(scripts)
    for script in scripts:
        merged |= group_of.get(script, set())
    for script in merged:
        group_of[script] = merged
