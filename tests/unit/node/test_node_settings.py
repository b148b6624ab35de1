"""What the node's parts are given of the configuration."""

from pathlib import Path

import pytest

from bitcoind_mp import config as configuration
from bitcoind_mp.config.option import NODE
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.node.settings import mempool_policy, peers_config, trim_bounds


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
    with pytest.raises(FatalError, match="Cannot set -bind together with -listen=0"):
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
