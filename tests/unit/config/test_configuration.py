"""Typed values, paths, and what a worker is started with."""

import grp
import os
from pathlib import Path

import pytest

from bitcoind_mp.config import load


def test_defaults_and_values_of_each_kind(loaded) -> None:
    config = loaded("-regtest")
    assert config.get_bool("txindex") is False
    assert config.get_int("keypool") == 1000
    assert config.get_seconds("healthinterval") == 10.0
    assert config.get_amount("mintxfee") == 1000
    assert config.get_amount("maxtxfee") == 10_000_000
    assert config.get_str("addresstype") == "bech32"
    assert config.get_list("connect") == []
    config = loaded(
        "-regtest", "-txindex", "-keypool=3", "-healthinterval=0.25", "-fallbackfee=0.0002", "-maxapsfee=-1", "-debug"
    )
    assert config.get_bool("txindex") is True
    assert config.get_int("keypool") == 3
    assert config.get_seconds("healthinterval") == 0.25
    assert config.get_amount("fallbackfee") == 20_000
    assert config.get_amount("maxapsfee") == -1
    assert config.get_list("debug") == [""]


def test_negation_and_being_set(loaded) -> None:
    config = loaded("-regtest", "-noconnect", "-nokeypool", "-nopid", "-nofallbackfee", "-nodebug=0")
    assert config.is_negated("connect")
    assert config.is_set("connect")
    assert not config.is_set("addnode")
    assert config.get_int("keypool") == loaded("-regtest", "-keypool=0").get_int("keypool") == 0
    assert config.get_amount("fallbackfee") == 0
    assert config.pid_file is None
    assert config.get_list("debug") == ["1"]


@pytest.mark.parametrize(
    ("arguments", "listens"),
    [
        ((), True),
        (("-connect=1.2.3.4",), False),
        (("-noconnect",), False),
        (("-connect=1.2.3.4", "-listen"), True),
        (("-connect=1.2.3.4", "-bind=127.0.0.1"), True),
        (("-bind=127.0.0.1", "-nolisten"), False),
    ],
)
def test_connect_and_bind_change_whether_to_listen(loaded, arguments, listens) -> None:
    assert loaded("-regtest", *arguments).get_bool("listen") is listens


def test_daemonwait_implies_daemon_which_is_quiet(loaded) -> None:
    assert loaded("-daemonwait").get_bool("daemon")
    assert not loaded("-daemonwait").get_bool("printtoconsole")
    assert loaded("-daemon", "-printtoconsole").get_bool("printtoconsole")
    assert loaded().get_bool("printtoconsole")


def test_blocksonly_keeps_the_wallet_quiet(loaded) -> None:
    assert not loaded("-blocksonly").get_bool("walletbroadcast")


def test_limits_of_one_unit(loaded) -> None:
    config = loaded("-maxrss=100", "-maxrss=node:4000", "-stoptimeout=wallet:5", conf="maxrss=wallet:7\n")
    assert config.unit_number("maxrss", "node") == 4000
    assert config.unit_number("maxrss", "wallet") == 7
    assert config.unit_number("stoptimeout", "wallet") == 5
    assert config.unit_number("stoptimeout", "node") == 90
    assert config.unit_number("watchdog", "node") == 30


def test_paths(loaded, datadir: Path) -> None:
    config = loaded("-regtest")
    network = datadir / "regtest"
    assert config.run_dir == network / "run"
    assert config.wallets_dir == network / "wallets"
    assert config.log_dir == network / "logs"
    assert config.pid_file == network / "bitcoind-mp.pid"
    assert config.socket_path("supervisor") == network / "run" / "supervisor.sock"
    assert config.socket_path("node") == network / "run" / "node.sock"
    assert loaded("-walletdir=w").wallets_dir == Path.cwd() / "w"
    assert loaded("-pid=/x/y.pid").pid_file == Path("/x/y.pid")


def test_sockets_elsewhere(loaded, datadir: Path) -> None:
    node = loaded("-regtest", "-ipcbind=unix:/x/n.sock", program="bitcoin-mp-node")
    assert node.socket_path("node") == Path("/x/n.sock")
    wallet = loaded("-regtest", "-ipcconnect=unix:near.sock", program="bitcoin-mp-wallet")
    assert wallet.socket_path("node") == datadir / "regtest" / "near.sock"
    assert wallet.socket_path("wallet") == datadir / "regtest" / "run" / "wallet.sock"
    front = loaded("-regtest", "-ipcconnect=unix:/x/n.sock", program="bitcoin-mp")
    assert front.ipc_connect == ("unix", "/x/n.sock")
    assert loaded(program="bitcoin-mp").ipc_connect == ("auto", "")
    assert loaded("-noipcconnect", program="bitcoin-mp").ipc_connect == ("0", "")
    assert loaded("-ipcconnect=0", program="bitcoin-mp").ipc_connect == ("0", "")


def test_directories_are_made_for_the_owner_alone(tmp_path: Path) -> None:
    config = load(["-regtest"], "bitcoin-mp-node", environ={"HOME": str(tmp_path)})
    config.make_directories()
    config.make_directories()
    for directory in (config.datadir, config.network_dir, config.run_dir, config.wallets_dir):
        assert directory.stat().st_mode & 0o777 == 0o700


def test_a_group_may_pass_through_to_the_sockets_and_read_nothing(tmp_path: Path) -> None:
    group = grp.getgrgid(os.getgid())
    config = load(["-regtest", f"-ipcgroup={group.gr_name}"], "bitcoin-mp-node", environ={"HOME": str(tmp_path)})
    config.make_directories()
    for directory in (config.datadir, config.network_dir, config.run_dir):
        assert directory.stat().st_mode & 0o777 == 0o710
        assert directory.stat().st_gid == group.gr_gid
    assert config.wallets_dir.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("own", "after", "theirs"),
    [
        (0o700, 0o710, True),
        (0o750, 0o710, True),  # what was the old group's isn't handed on
        (0o755, 0o755, False),  # the members get through as it is
        (0o711, 0o711, False),
        (0o701, 0o711, True),  # one who is in the old group too would be kept out
        (0o2750, 0o2710, True),
    ],
)
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_data_directory_that_is_there_is_opened_no_further_than_the_group_needs(
    tmp_path: Path, own: int, after: int, theirs: bool, umask: int
) -> None:
    group = 65534 if os.geteuid() == 0 else next((one for one in os.getgroups() if one != os.getegid()), None)
    if group is None:
        pytest.skip("this user is in one group only")
    datadir, run = tmp_path / "d", tmp_path / "d" / "regtest" / "run"
    run.mkdir(parents=True)
    run.chmod(0o755)
    datadir.chmod(own)
    before = os.umask(umask)
    try:
        load(["-regtest", f"-datadir={datadir}", f"-ipcgroup={group}"], "bitcoind-mp", environ={}).make_directories()
    finally:
        os.umask(before)
    assert (datadir.stat().st_mode & 0o7777, datadir.stat().st_gid == group) == (after, theirs)
    assert (run.stat().st_mode & 0o777, run.stat().st_gid) == (0o710, group)


def test_a_worker_gets_its_own_options_with_absolute_paths(loaded, datadir: Path) -> None:
    supervisor = loaded(
        "-regtest",
        "-daemon",
        "-loadblock=blocks.dat",
        "-txindex",
        "-keypool=5",
        "-nowallet",
        "-wallet=w",
        "-ipcbind=unix:/x",
        "-walletdir=w",
        "-noconnect",
        "--debug=ipc",
        "-watchdog=3",
        conf="mintxfee=0.0001\n",
    )
    common = [f"-datadir={datadir}", f"-conf={datadir / 'bitcoin.conf'}", "-regtest"]
    here = Path.cwd()
    assert supervisor.worker_arguments("node") == [
        *common,
        f"-loadblock={here}/blocks.dat",
        "-txindex",
        "-noconnect",
        "-debug=ipc",
    ]
    wallet = supervisor.worker_arguments("wallet")
    assert wallet == [*common, "-keypool=5", "-nowallet", "-wallet=w", f"-walletdir={here}/w", "-debug=ipc"]
    again = load(wallet, "bitcoin-mp-wallet", environ={"HOME": "/nowhere"})
    assert again.chain == "regtest"
    assert again.get_list("wallet") == ["w"]
    assert again.get_amount("mintxfee") == 10_000


def test_a_worker_without_a_configuration_file(loaded) -> None:
    assert "-noconf" in loaded("-noconf", "-regtest").worker_arguments("node")


def test_a_missing_configuration_file_is_not_asked_for_again(loaded, datadir: Path) -> None:
    arguments = loaded("-regtest").worker_arguments("node")
    assert load(arguments, "bitcoin-mp-node").chain == "regtest"
