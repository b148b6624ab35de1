"""From the configuration to units."""

import sys
from pathlib import Path

import pytest

from bitcoind_mp import config as configuration
from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.errors import FatalError
from bitcoind_mp.supervisor import plan


def load(directory: Path, *options: str) -> Config:
    return configuration.load(["-regtest", f"-datadir={directory}", *options], "bitcoind-mp", environ={})


def test_the_units_and_their_commands(tmp_path: Path) -> None:
    node, wallet = plan.units(load(tmp_path, "-txindex", "-keypool=7", "-printtoconsole=0"))
    assert node.argv[:4] == (sys.executable, "-P", "-m", "bitcoind_mp.node")
    assert wallet.argv[:4] == (sys.executable, "-P", "-m", "bitcoind_mp.wallet")
    assert f"-datadir={tmp_path}" in node.argv
    assert ("-txindex" in node.argv, "-keypool=7" in node.argv) == (True, False)
    assert ("-txindex" in wallet.argv, "-keypool=7" in wallet.argv) == (False, True)
    assert node.argv[-1] == "-printtoconsole=1", "a worker's output is always ours"
    assert (node.enabled, wallet.enabled) == (True, True)


def test_a_worker_takes_the_command_it_is_given(tmp_path: Path) -> None:
    """What the supervisor passes on is accepted by the worker's own reading of it."""
    for each, program in zip(
        plan.units(load(tmp_path, "-debug=ipc", "-daemon")), ("bitcoin-mp-node", "bitcoin-mp-wallet"), strict=True
    ):
        assert configuration.load(list(each.argv[4:]), program, environ={}).chain == "regtest"


def test_a_disabled_wallet_is_still_a_unit(tmp_path: Path) -> None:
    assert [each.enabled for each in plan.units(load(tmp_path, "-disablewallet"))] == [True, False]


def test_patience_and_limits_for_each_unit(tmp_path: Path) -> None:
    node, wallet = plan.units(
        load(
            tmp_path,
            "-starttimeout=7",
            "-starttimeout=node:70",
            "-stoptimeout=wallet:8",
            "-watchdog=node:0",
            "-restartdelay=1",
            "-restartmaxdelay=9",
            "-startlimit=wallet:3",
            "-startlimitinterval=100",
            "-restart=node:no",
            "-maxrss=node:500",
            "-maxcpu=80",
            "-maxfiles=wallet:64",
        )
    )
    assert (node.policy.start_timeout, wallet.policy.start_timeout) == (70, 7)
    assert (node.policy.stop_timeout, wallet.policy.stop_timeout) == (90, 8)
    assert (node.policy.watchdog, wallet.policy.watchdog) == (0, 30)
    assert (node.policy.backoff_first, node.policy.backoff_cap) == (1, 9)
    assert (node.policy.start_limit, wallet.policy.start_limit) == (5, 3)
    assert node.policy.start_interval == 100
    assert (node.policy.restart, wallet.policy.restart) == ("no", "always")
    assert node.limits == plan.Limits(memory=500 << 20, cpu=80, files=0)
    assert wallet.limits == plan.Limits(memory=0, cpu=80, files=64)


def test_health(tmp_path: Path) -> None:
    assert plan.health(load(tmp_path)) == plan.HealthPlan(10, 5, 3, 100 << 20)
    chosen = plan.health(load(tmp_path, "-healthinterval=1", "-healthtimeout=0.5", "-mindiskfree=7"))
    assert (chosen.interval, chosen.timeout, chosen.min_disk_free) == (1, 0.5, 7 << 20)


def test_a_signer_is_a_unit_where_it_is_asked_for(tmp_path: Path) -> None:
    options = ("-signerprocess", "-signermaxtx=1", "-keypool=7", "-stoptimeout=signer:8")
    node, signer, wallet = plan.units(load(tmp_path, *options))
    assert [each.name for each in (node, signer, wallet)] == ["node", "signer", "wallet"]
    assert signer.argv[:4] == (sys.executable, "-P", "-m", "bitcoind_mp.signer")
    assert ("-signermaxtx=1" in signer.argv, "-keypool=7" in signer.argv) == (True, False)
    assert ("-signermaxtx=1" in wallet.argv, "-signerprocess" in wallet.argv) == (False, True)
    assert signer.policy.stop_timeout == 8
    assert [each.name for each in plan.units(load(tmp_path, "-nosignerprocess"))] == ["node", "wallet"]
    assert [each.enabled for each in plan.units(load(tmp_path, *options, "-disablewallet"))] == [True, False, False]


def test_what_takes_a_stop_and_a_start_is_refused_by_a_reload(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    conf = tmp_path / "bitcoin.conf"

    def read(text: str) -> Config:
        conf.write_text(text)
        return configuration.load([f"-conf={conf}"], "bitcoind-mp", environ={"HOME": str(tmp_path)})

    here, there = f"datadir={tmp_path}\n", f"datadir={tmp_path / 'elsewhere'}\n"
    now = read(f"{here}regtest=1\n")
    plan.require_reloadable(now, read(f"{here}regtest=1\nkeypool=7\n"))
    for then, why in (
        (f"{here}regtest=1\nwalletprocess=each\n", "-walletprocess"),
        (f"{here}signet=1\n", "Another network or data directory"),
        (f"{there}regtest=1\n", "Another network or data directory"),
    ):
        with pytest.raises(FatalError, match=why):
            plan.require_reloadable(now, read(then))
