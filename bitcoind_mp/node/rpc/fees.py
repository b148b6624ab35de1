"""`estimatesmartfee` (``src/rpc/fees.cpp``)."""

from typing import Any

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.command import command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.render.json_values import integer

_MODES = ("unset", "economical", "conservative")


class FeeCommands:
    """What the mempool's estimator has learnt."""

    def __init__(self, mempool: Mempool) -> None:
        self._mempool = mempool

    @command("util")
    def estimatesmartfee(self, conf_target: int, estimate_mode: str = "economical") -> dict[str, Any]:
        """Estimates the fee rate with which a transaction begins to be confirmed within a number of blocks.

        Args:
            conf_target: The number of blocks, 1 to 1008
            estimate_mode: unset, economical or conservative: the latter looks further back and is slower to go down

        Returns:
            The fee rate in BTC/kvB, or errors where too little is known, and the number of blocks that it is for
        """
        target, most = integer(conf_target), self._mempool.estimator.highest_target
        if not 1 <= target <= most:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid conf_target, must be between 1 and {most}")
        if estimate_mode.lower() not in _MODES:
            modes = '", "'.join(_MODES)
            raise RpcError(RpcCode.INVALID_PARAMETER, f'Invalid estimate_mode parameter, must be one of: "{modes}"')
        estimate = self._mempool.estimate_fee(target, conservative=estimate_mode.lower() == "conservative")
        if estimate.rate is None:
            return {"errors": estimate.errors, "blocks": estimate.blocks}
        return {"feerate": btc(estimate.rate), "blocks": estimate.blocks}
