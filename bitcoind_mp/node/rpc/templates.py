"""`getblocktemplate` (``src/rpc/mining.cpp``; BIP22, BIP23, BIP9, BIP145)."""

import re
from typing import Any

from bitcoind_mp.interfaces.command import command, parse_hash
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.header import BlockNode, Validity, target_of
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.node.mempool.view import ScriptVerifier
from bitcoind_mp.node.mining.assembler import BlockLimits, Template, template
from bitcoind_mp.node.mining.versionbits import State, deployments, state
from bitcoind_mp.node.mining.work import block_time, minimum_time, next_bits
from bitcoind_mp.node.p2p.manager import Peers
from bitcoind_mp.render.json_values import expect

from .block_check import check_block
from .mining import LastTemplate, block_hash, parse_block
from .waiting import TipWatch

_MAX_SIGOPS_COST = 80_000
_MAX_SERIALIZED_SIZE = 4_000_000
_MAX_WEIGHT = 4_000_000
#: Seconds after which new transactions make a new template.
_KEEP = 5


class TemplateCommands:
    """Keeps the newest template, which is given out again while it is fresh.

    ``looks`` are the seconds after which a long poll first looks at the mempool, and between later looks.
    """

    def __init__(
        self,
        chain: ChainState,
        mempool: Mempool,
        peers: Peers,
        limits: BlockLimits,
        last: LastTemplate,
        verify: ScriptVerifier,
        looks: tuple[float, float] = (60.0, 10.0),
    ) -> None:
        self._chain = chain
        self._mempool = mempool
        self._peers = peers
        self._limits = limits
        self._last = last
        self._verify = verify
        self._looks = looks
        self._template: Template | None = None
        self._tip: BlockNode | None = None
        self._made_at = 0
        self._updates = 0

    @command("mining", waits=True)
    async def getblocktemplate(self, template_request: dict[str, Any]) -> Any:
        """Gives what a miner needs to make a block, or judges a block that a miner proposes.

        Args:
            template_request: rules, which must hold segwit; mode template or proposal; data, a proposed block in hex;
                longpollid, to wait until the template of that id is outdated; capabilities

        Returns:
            The template; for a proposal null if the block would be valid, else the reason against it
        """
        mode = template_request.get("mode")
        if mode is not None and not isinstance(mode, str):
            raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid mode")
        if mode == "proposal":
            return await self._proposal(template_request.get("data"))
        wanted = template_request.get("rules")
        rules = {expect(rule, "string") for rule in wanted} if isinstance(wanted, list) else set()
        if mode not in (None, "template"):
            raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid mode")
        if not self._chain.params.is_test:
            if not self._peers.peers:
                raise RpcError(RpcCode.CLIENT_NOT_CONNECTED, "Bitcoin Core is not connected!")
            if self._chain.initial_block_download:
                raise RpcError(
                    RpcCode.CLIENT_IN_INITIAL_DOWNLOAD,
                    "Bitcoin Core is in initial sync and waiting for blocks...",
                )
        if "longpollid" in template_request and template_request["longpollid"] is not None:
            await self._wait(template_request["longpollid"])
        self._check_rules(rules)
        return self._render(self._fresh())

    async def _proposal(self, data: Any) -> str | None:
        """BIP23's block proposal."""
        if not isinstance(data, str):
            raise RpcError(RpcCode.TYPE_ERROR, "Missing data String key for proposal")
        raw = parse_block(data)
        known = self._chain.by_hash(block_hash(raw))
        if known is not None:
            if known.validity >= Validity.SCRIPTS and not known.failed:
                return "duplicate"
            return "duplicate-invalid" if known.failed else "duplicate-inconclusive"
        fault = await check_block(self._chain, raw, self._verify)
        return None if fault is None else fault.reason

    async def _wait(self, longpollid: Any) -> None:
        """Until the tip isn't that of the id any more; or after a while, when there are other transactions."""
        watched, updates = self._chain.tip.hash, self._updates
        if isinstance(longpollid, str):
            watched = parse_hash(longpollid[:64], "longpollid")
            digits = re.match(r"\s*([+-]?\d+)", longpollid[64:])
            updates = int(digits[1]) if digits else 0
        patience, next_look = self._looks
        with TipWatch(self._chain) as watch:
            while not await watch.wait_until(lambda tip: tip.hash != watched, patience):
                if self._mempool.transactions_updated != updates:
                    return
                patience = next_look

    def _check_rules(self, rules: set[str]) -> None:
        signet = self._chain.params.name == "signet"
        for rule, example in (("signet", '"segwit", "signet"'), ("segwit", '"segwit"')):
            if rule not in rules and (rule != "signet" or signet):
                raise RpcError(
                    RpcCode.INVALID_PARAMETER,
                    f'getblocktemplate must be called with the {rule} rule set (call with {{"rules": [{example}]}})',
                )

    def _fresh(self) -> Template:
        """The kept template, or a new one on a new tip or when new transactions have been there for a while."""
        now = self._chain.clock.now()
        changed = self._mempool.transactions_updated != self._updates and now - self._made_at > _KEEP
        if self._template is None or self._tip is not self._chain.tip or changed:
            self._updates = self._mempool.transactions_updated
            self._made_at = now
            self._tip = self._chain.tip
            self._template = template(self._chain, self._mempool, limits=self._limits)
            self._last.note(self._template)
        return self._template

    def _render(self, made: Template) -> dict[str, Any]:
        chain = self._chain
        time = max(made.time, block_time(chain))
        bits = next_bits(chain, time) if chain.params.consensus.pow_allow_min_difficulty_blocks else made.bits
        segwit = made.height >= chain.params.consensus.segwit_height
        scale = 1 if segwit else 4
        rules = ["csv", *(["!segwit", "taproot"] if segwit else [])]
        if chain.params.name == "signet":
            rules.append("!signet")
        available = self._signalling(made, rules)
        result: dict[str, Any] = {
            "capabilities": ["proposal"],
            "version": made.version,
            "rules": rules,
            "vbavailable": available,
            "vbrequired": 0,
            "previousblockhash": made.previous.hex(),
            "transactions": [
                {
                    "data": each.raw.hex(),
                    "txid": each.txid.hex(),
                    "hash": each.wtxid.hex(),
                    "depends": list(each.depends),
                    "fee": each.fee,
                    "sigops": each.sigop_cost // scale,
                    "weight": each.weight,
                }
                for each in made.transactions
            ],
            "coinbaseaux": {},
            "coinbasevalue": made.coinbase_value,
            "longpollid": f"{made.previous.hex()}{self._updates}",
            "target": f"{target_of(bits):064x}",
            "mintime": minimum_time(chain),
            "mutable": ["time", "transactions", "prevblock"],
            "noncerange": "00000000ffffffff",
            "sigoplimit": _MAX_SIGOPS_COST // scale,
            "sizelimit": _MAX_SERIALIZED_SIZE // scale,
        }
        if segwit:
            result["weightlimit"] = _MAX_WEIGHT
        result |= {"curtime": time, "bits": f"{bits:08x}", "height": made.height}
        if chain.params.name == "signet":
            result["signet_challenge"] = chain.params.challenge.hex()
        if made.commitment is not None:
            result["default_witness_commitment"] = made.commitment.hex()
        return result

    def _signalling(self, made: Template, rules: list[str]) -> dict[str, int]:
        """The bit of each deployment that can be signalled for. What is active joins ``rules``. A client need not know
        of either: there is none today that changes what it has to do."""
        available: dict[str, int] = {}
        for deployment in deployments(self._chain.params.name):
            now = state(deployment, self._chain, made.height)
            if now in (State.STARTED, State.LOCKED_IN):
                available[deployment.name] = deployment.bit
            elif now is State.ACTIVE:
                rules.append(deployment.name)
        return available
