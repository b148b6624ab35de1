"""The command that looks for descriptors' coins without a wallet (``src/rpc/blockchain.cpp``)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from btclib.tx.coin import Coin
from btclib_wallet.descriptors import Provider, infer_descriptor

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.command import command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.coindb import OutPoint
from bitcoind_mp.node.chain.coinscan import CoinScan
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.render.descriptor_text import parse_scan_object
from bitcoind_mp.render.network import network_name

_DERIVE_AT_ONCE = 50
"""Derive so many scripts before others get a turn."""


async def derive(scanobject: Any, chain: str) -> AsyncIterator[tuple[bytes, Provider]]:
    """The scripts of one scan object, each with what is known of its keys. Raises `RpcError`."""
    asked = parse_scan_object(scanobject, chain)
    parsed = asked.parsed
    for index in range(asked.begin, asked.end + 1):
        if index % _DERIVE_AT_ONCE == 0:
            await asyncio.sleep(0)
        for descriptor in parsed.descriptors:
            try:
                scripts = descriptor.script_pub_keys(index, parsed.prv_keys)
                provider = descriptor.provider(index, parsed.prv_keys)
            except ValueError:
                raise RpcError(
                    RpcCode.INVALID_ADDRESS_OR_KEY, f"Cannot derive script without private keys: '{asked.text}'"
                ) from None
            for script in scripts:
                yield script.script, provider


class ScanCommands:
    """One scan at a time."""

    def __init__(self, chain: ChainState) -> None:
        self._chain = chain
        self._network = network_name(chain.params.name)
        self._scan: CoinScan | None = None

    @command("blockchain", waits=True)
    async def scantxoutset(self, action: str, scanobjects: list[Any] | None = None) -> Any:
        """Scans the unspent outputs for those that output descriptors pay to. It reads all of them.

        Args:
            action: "start" for starting a scan, "abort" for aborting the current one, "status" for its progress
            scanobjects: Required for "start": each a descriptor, or an object with desc and range, the indexes to
                look at of a ranged one, the end or [begin,end] (default: 1000)

        Returns:
            For "start" the tip, how many outputs were scanned, those found and their total amount; for "abort"
            whether there was a scan; for "status" its progress in percent, or null if there is none
        """
        if action == "status":
            return None if self._scan is None else {"progress": self._scan.progress}
        if action == "abort":
            if self._scan is None:
                return False
            self._scan.abort()
            return True
        if action != "start":
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid action '{action}'")
        if self._scan is not None:
            raise RpcError(RpcCode.INVALID_PARAMETER, 'Scan already in progress, use action "abort" or "status"')
        if scanobjects is None:
            raise RpcError(RpcCode.MISC_ERROR, "scanobjects argument is required for the start action")
        descriptors: dict[bytes, str] = {}
        scan = self._scan = CoinScan(self._chain.tip, descriptors)
        try:
            for scanobject in scanobjects:
                async for script, provider in derive(scanobject, self._chain.params.name):
                    descriptors.setdefault(script, infer_descriptor(script, provider, self._network))
            if not self._chain.coins.available:
                await self._chain.settle()
            scan.tip = self._chain.tip
            success = await scan.run(self._chain.coins)
        finally:
            self._scan = None
        return self._result(scan, descriptors, success)

    def _result(self, scan: CoinScan, descriptors: dict[bytes, str], success: bool) -> dict[str, Any]:
        return {
            "success": success,
            "txouts": scan.count,
            "height": scan.tip.height,
            "bestblock": scan.tip.hash.hex(),
            "unspents": [self._unspent(scan, outpoint, coin, descriptors) for outpoint, coin in scan.found],
            "total_amount": btc(sum(coin.tx_out.value for _, coin in scan.found)),
        }

    def _unspent(self, scan: CoinScan, outpoint: OutPoint, coin: Coin, descriptors: dict[bytes, str]) -> dict[str, Any]:
        script = coin.tx_out.script_pub_key.script
        block = self._chain.ancestor(scan.tip, coin.height)
        assert block is not None
        return {
            "txid": outpoint[0].hex(),
            "vout": outpoint[1],
            "scriptPubKey": script.hex(),
            "desc": descriptors[script],
            "amount": btc(coin.tx_out.value),
            "coinbase": coin.is_coinbase,
            "height": coin.height,
            "blockhash": block.hash.hex(),
            "confirmations": scan.tip.height - coin.height + 1,
        }
