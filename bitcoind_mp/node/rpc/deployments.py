"""`getdeploymentinfo`: which rules hold, and how the signalling for others goes (``src/rpc/blockchain.cpp``)."""

from dataclasses import dataclass
from typing import Any, cast

from bitcoind_mp.interfaces.command import command
from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.node.mempool.view import ChainView
from bitcoind_mp.node.mining.versionbits import Deployment, State, deployments, since, state

from .blockchain import known_block


@dataclass(frozen=True)
class _Branch:
    """The blocks up to a certain one, by height, on whatever branch it is."""

    chain: ChainState
    end: BlockNode

    def by_height(self, height: int) -> BlockNode | None:
        return self.chain.ancestor(self.end, height)


class DeploymentCommands:
    """Answers at once, from memory."""

    def __init__(self, chain: ChainState) -> None:
        self._chain = chain

    @command("blockchain")
    def getdeploymentinfo(self, blockhash: str | None = None) -> dict[str, Any]:
        """Tells the state of each consensus change at a block.

        Args:
            blockhash: The block; the tip if not given

        Returns:
            The block, the script rules that it is checked by, and for each change its kind, since when it holds, and
            for one that is signalled for how that goes
        """
        node = self._chain.tip if blockhash is None else known_block(self._chain, blockhash)
        consensus = self._chain.params.consensus
        buried = {
            "bip34": consensus.bip34_height,
            "bip66": consensus.bip66_height,
            "bip65": consensus.bip65_height,
            "csv": consensus.csv_height,
            "segwit": consensus.segwit_height,
        }
        shown: dict[str, Any] = {
            name: {"type": "buried", "active": node.height + 1 >= height, "height": height}
            for name, height in buried.items()
        }
        for deployment in deployments(self._chain.params.name):
            shown[deployment.name] = self._signalled(deployment, node)
        flags = consensus.script_flags_at(node.height, node.hash)
        return {
            "hash": node.hash.hex(),
            "height": node.height,
            "script_flags": sorted(flag.name or "" for flag in flags),
            "deployments": shown,
        }

    def _signalled(self, deployment: Deployment, node: BlockNode) -> dict[str, Any]:
        """A deployment that is signalled for (``SoftForkDescPushBack``)."""
        branch = cast(ChainView, _Branch(self._chain, node))
        now = state(deployment, branch, node.height)
        following = state(deployment, branch, node.height + 1)
        begun = since(deployment, branch, node.height)
        signalling = now in (State.STARTED, State.LOCKED_IN)
        bip9: dict[str, Any] = {"bit": deployment.bit} if signalling else {}
        bip9 |= {
            "start_time": deployment.start_time,
            "timeout": deployment.timeout,
            "min_activation_height": deployment.min_activation_height,
            "status": now.value,
            "since": begun,
            "status_next": following.value,
        }
        if signalling:
            signals = self._signals(deployment, node)
            bip9["statistics"] = _statistics(deployment, signals, decided=now is State.LOCKED_IN)
            bip9["signalling"] = "".join("#" if signal else "-" for signal in signals)
        result: dict[str, Any] = {"type": "bip9"}
        active_since = begun if now is State.ACTIVE else node.height + 1 if following is State.ACTIVE else None
        if active_since is not None:
            result["height"] = active_since
        result["active"] = active_since is not None and active_since <= node.height + 1
        result["bip9"] = bip9
        return result

    def _signals(self, deployment: Deployment, node: BlockNode) -> list[bool]:
        """For each block of the period up to this one whether it signals."""
        signals = []
        walk: BlockNode | None = node
        for _ in range(1 + node.height % deployment.period):
            assert walk is not None
            signals.append(deployment.signalled(walk.version))
            walk = walk.previous
        return signals[::-1]


def _statistics(deployment: Deployment, signals: list[bool], *, decided: bool) -> dict[str, Any]:
    elapsed, count = len(signals), sum(signals)
    shown: dict[str, Any] = {"period": deployment.period, "elapsed": elapsed, "count": count}
    if not decided:
        shown["threshold"] = deployment.threshold
        shown["possible"] = deployment.period - deployment.threshold >= elapsed - count
    return shown
