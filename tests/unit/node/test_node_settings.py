"""What the node's parts are given of the configuration."""

from pathlib import Path

import pytest

from bitcoind_mp import config as configuration
from bitcoind_mp.config.option import NODE
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.node.p2p.endpoint import Endpoint
from bitcoind_mp.node.p2p.permissions import Permissions
from bitcoind_mp.node.settings import block_limits, chain_params, mempool_policy, peers_config, trim_bounds


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        ([], ()),
        (["-noconnect"], ()),
        (["-connect=0"], ()),
        (["-connect=10.0.0.1", "-connect=0"], ("10.0.0.1", "0")),
    ],
)
def test_whom_connect_calls(tmp_path: Path, arguments: list[str], called: tuple[str, ...]) -> None:
    config = configuration.load(["-regtest", f"-datadir={tmp_path}", *arguments], NODE)
    assert peers_config(config).connect == called


@pytest.mark.parametrize(("arguments", "takes"), [([], True), (["-blocksonly"], False), (["-noblocksonly"], True)])
def test_blocksonly_takes_no_transactions_of_peers(tmp_path: Path, arguments: list[str], takes: bool) -> None:
    config = configuration.load(["-regtest", f"-datadir={tmp_path}", *arguments], NODE)
    assert peers_config(config).take_transactions is takes


def test_where_to_be_called_and_not_to_listen_are_at_odds(tmp_path: Path) -> None:
    config = configuration.load(["-regtest", f"-datadir={tmp_path}", "-bind=127.0.0.1", "-listen=0"], NODE)
    with pytest.raises(FatalError, match="Cannot set -bind or -whitebind together with -listen=0"):
        peers_config(config)


@pytest.mark.parametrize(
    ("arguments", "mempool"),
    [([], 150_000_000), (["-maxmempool=40"], 20_000_000), (["-maxmempool=6"], 5_000_000)],
)
def test_lowmemory_halves_what_is_kept(tmp_path: Path, arguments: list[str], mempool: int) -> None:
    usual = configuration.load(["-regtest", f"-datadir={tmp_path}", *arguments], NODE)
    low = configuration.load(["-regtest", f"-datadir={tmp_path}", *arguments, "-lowmemory=1"], NODE)
    assert mempool_policy(low).max_size == mempool < mempool_policy(usual).max_size
    assert trim_bounds(low).overlay * 2 == trim_bounds(usual).overlay
    assert trim_bounds(low).journal * 2 == trim_bounds(usual).journal


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["-maxmempool=4"], "-maxmempool must be at least 5 MB"),
        (["-maxmempool=4", "-lowmemory=1"], "-maxmempool must be at least 5 MB"),
        (["-maxmempool=5", "-limitclustersize=1000"], "-maxmempool must be at least 40 MB"),
        (["-limitclustercount=65"], "limitclustercount must be less than or equal to 64"),
    ],
)
def test_limits_that_do_not_go_together_are_refused(tmp_path: Path, arguments: list[str], refusal: str) -> None:
    config = configuration.load(["-regtest", f"-datadir={tmp_path}", *arguments], NODE)
    with pytest.raises(FatalError, match=refusal) as refused:
        mempool_policy(config)
    assert refused.value.status is ExitStatus.CONFIG


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (
            ["-blockmaxweight=4000001"],
            "Specified -blockmaxweight (4000001) exceeds consensus maximum block weight (4000000)",
        ),
        (
            ["-blockreservedweight=4000001"],
            "Specified -blockreservedweight (4000001) exceeds consensus maximum block weight (4000000)",
        ),
        (
            ["-blockreservedweight=1999"],
            "Specified -blockreservedweight (1999) is lower than minimum safety value of (2000)",
        ),
    ],
)
def test_weights_that_no_block_can_have_are_refused(tmp_path: Path, arguments: list[str], refusal: str) -> None:
    config = configuration.load(["-regtest", f"-datadir={tmp_path}", *arguments], NODE)
    with pytest.raises(FatalError) as refused:
        block_limits(config)
    assert refused.value.message == refusal
    assert refused.value.status == ExitStatus.CONFIG


@pytest.mark.parametrize(
    ("chain", "arguments", "version"),
    [("regtest", [], None), ("regtest", ["-blockversion=1337"], 1337), ("main", ["-blockversion=1337"], None)],
)
def test_a_test_may_choose_the_version_of_blocks(
    tmp_path: Path, chain: str, arguments: list[str], version: int | None
) -> None:
    config = configuration.load([f"-chain={chain}", f"-datadir={tmp_path}", *arguments], NODE)
    assert block_limits(config).version == version


def test_the_work_that_a_chain_must_have(tmp_path: Path) -> None:
    def work(*arguments: str) -> int:
        config = configuration.load(["-chain=main", f"-datadir={tmp_path}", *arguments], NODE)
        return chain_params(config).minimum_chain_work

    assert work() > 1 << 90
    assert work("-minimumchainwork=1f") == work("-minimumchainwork=0x1F") == 31
    for bad in ("1g", "0" * 65):
        with pytest.raises(FatalError, match="must be up to 64 hex digits"):
            work(f"-minimumchainwork={bad}")


@pytest.mark.parametrize(
    ("arguments", "permissions"),
    [
        (["-whitelist=127.0.0.1"], Permissions.NO_BAN | Permissions.MEMPOOL | Permissions.RELAY),
        (["-whitelist=127.0.0.1", "-blocksonly"], Permissions.NO_BAN | Permissions.MEMPOOL),
        (
            ["-whitelist=127.0.0.1", "-whitelistforcerelay", "-nowhitelistrelay"],
            Permissions.NO_BAN | Permissions.MEMPOOL | Permissions.FORCE_RELAY,
        ),
        (["-whitebind=addr@127.0.0.1:5"], Permissions.ADDR),
    ],
)
def test_whom_the_operator_trusts(tmp_path: Path, arguments: list[str], permissions: Permissions) -> None:
    config = peers_config(configuration.load(["-regtest", f"-datadir={tmp_path}", *arguments], NODE))
    place = Endpoint("127.0.0.1", 5)
    assert config.whitelist.of_peer(Endpoint("127.0.0.1", 9), place, inbound=True) == permissions


def test_a_permission_that_there_is_not_is_refused(tmp_path: Path) -> None:
    config = configuration.load(["-regtest", f"-datadir={tmp_path}", "-whitelist=oops@127.0.0.1"], NODE)
    with pytest.raises(FatalError, match="Invalid P2P permission: 'oops'"):
        peers_config(config)


@pytest.mark.parametrize(
    ("comment", "refusal"),
    [
        ("a/b", "User Agent comment (a/b) contains unsafe characters."),
        ("x" * 300, "Total length of network version string (321) exceeds maximum length (256)."),
    ],
)
def test_a_comment_that_no_peer_should_be_sent_is_refused(tmp_path: Path, comment: str, refusal: str) -> None:
    config = configuration.load(["-regtest", f"-datadir={tmp_path}", f"-uacomment={comment}"], NODE)
    with pytest.raises(FatalError) as refused:
        peers_config(config)
    assert refused.value.message.startswith(refusal)


def test_comments_are_in_what_we_call_ourselves(tmp_path: Path) -> None:
    config = configuration.load(["-regtest", f"-datadir={tmp_path}", "-uacomment=a", "-uacomment=b c"], NODE)
    assert peers_config(config).user_agent.endswith("(a; b c)/")


def test_filters_are_for_peers_only_where_there_are_any(tmp_path: Path) -> None:
    def peers(*arguments: str) -> None:
        peers_config(configuration.load(["-regtest", f"-datadir={tmp_path}", *arguments], NODE))

    peers("-peerblockfilters", "-blockfilterindex")
    with pytest.raises(FatalError, match="Cannot set -peerblockfilters without -blockfilterindex"):
        peers("-peerblockfilters")
