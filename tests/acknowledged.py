"""What a client was told is done: the oracle of the tests that kill processes and fill disks."""

import contextlib
from collections import Counter
from decimal import Decimal
from typing import Any

from harness import Daemon, wait_until

from bitcoind_mp.interfaces.errors import RpcError


class Acknowledged:
    """Blocks and, for each wallet, transactions and addresses that a client of ``daemon`` was given."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.blocks: list[str] = []
        self.txids: dict[str, list[str]] = {}
        self.addresses: dict[str, dict[str, str]] = {}

    # Each method calls once; what it returns is written down.

    def mine(self, count: int, address: str) -> list[str]:
        hashes: list[str] = self.daemon.node("generatetoaddress", count, address)
        self.blocks += hashes
        return hashes

    def address(self, wallet: str, label: str = "", type: str = "bech32") -> str:
        address: str = self.daemon.wallet(wallet, "getnewaddress", label, type)
        assert address not in self.addresses.setdefault(wallet, {}), "an address was given twice"
        self.addresses[wallet][address] = label
        return address

    def pay(self, wallet: str, address: str, amount: Any) -> str:
        txid: str = self.daemon.wallet(wallet, "sendtoaddress", address, amount)
        self.txids.setdefault(wallet, []).append(txid)
        return txid

    def send(self, wallet: str, outputs: list[dict[str, Any]]) -> str:
        txid: str = self.daemon.wallet(wallet, "send", outputs)["txid"]
        self.txids.setdefault(wallet, []).append(txid)
        return txid

    # What holds whenever everything runs.

    def check(self) -> None:
        """Everything that was acknowledged is there, once, for the node and for each wallet."""
        self._check_blocks()
        where = self._places()
        for wallet, txids in self.txids.items():
            self._until_synced(wallet)
            for txid in txids:
                assert where[txid] == 1, f"{txid} is in {where[txid]} places"
                assert self.daemon.wallet(wallet, "gettransaction", txid)["confirmations"] >= 0
        for wallet, addresses in self.addresses.items():
            for address, label in addresses.items():
                info = self.daemon.wallet(wallet, "getaddressinfo", address)
                assert info["ismine"]
                assert info["labels"] == [label]

    def _check_blocks(self) -> None:
        for hash in self.blocks:
            assert self.daemon.node("getblockheader", hash)["confirmations"] > 0, hash

    def _places(self) -> Counter[str]:
        """How often each transaction is in the chain or the mempool; waits for the wallets to hand theirs over."""
        waiting = {txid for txids in self.txids.values() for txid in txids}
        found: Counter[str] = Counter()
        for height in range(1, self.daemon.node("getblockcount") + 1):
            found.update(self.daemon.node("getblock", self.daemon.node("getblockhash", height))["tx"])
        waiting -= found.keys()
        what = "what was acknowledged and isn't confirmed to be in the mempool"
        wait_until(what, lambda: waiting <= set(self.daemon.node("getrawmempool")))
        found.update(self.daemon.node("getrawmempool"))
        return found

    def _until_synced(self, wallet: str) -> None:
        tip = self.daemon.node("getbestblockhash")

        def there() -> bool:
            with contextlib.suppress(RpcError):
                return bool(self.daemon.wallet(wallet, "getwalletinfo")["lastprocessedblock"]["hash"] == tip)
            return False

        wait_until(f"{wallet} is at the tip", there)

    def check_balance(self, wallet: str) -> None:
        """The wallet says what a fresh one with the same descriptors finds in the chain."""
        self._until_synced(wallet)
        copy = f"{wallet} anew"
        listed = self.daemon.wallet(wallet, "listdescriptors", True)["descriptors"]
        self.daemon.wallet(None, "createwallet", copy, False, True)
        imported = self.daemon.wallet(copy, "importdescriptors", [{**each, "timestamp": 0} for each in listed])
        assert all(each["success"] for each in imported), imported
        ours, anew = (self.daemon.wallet(name, "getbalances")["mine"] for name in (wallet, copy))
        assert total(ours) == total(anew), (ours, anew)
        self.daemon.wallet(None, "unloadwallet", copy)


def total(balances: dict[str, Decimal]) -> Decimal:
    """Of all that is a wallet's, however trusted."""
    return sum((Decimal(amount) for amount in balances.values()), Decimal(0))
