"""Full disks under whole daemons: the error says so, what was acknowledged stays, and work goes on once there is room.

Real file systems are filled, at each place that something is written to. Only root may mount them.
"""

import resource
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from acknowledged import Acknowledged
from harness import Daemon, wait_until
from small_disk import SmallDisk

from bitcoind_mp.interfaces.errors import RpcCode, RpcError

QUICK = ("-keypool=10", "-fallbackfee=0.001", "-restartmaxdelay=0.3", "-healthinterval=0.3")
STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"

#: An output longer than what is left of any page that is in use.
LONG = {"data": "00" * 8000}


@pytest.fixture
def mount() -> Iterator[Callable[..., SmallDisk]]:
    """mount(place, size): a `SmallDisk`."""
    made: list[SmallDisk] = []

    def mount(place: Path, size: str) -> SmallDisk:
        made.append(SmallDisk(place, size))
        return made[-1]

    yield mount
    for disk in made:
        disk.unmount()


@pytest.fixture
def daemon(mount: Callable[..., SmallDisk], tmp_path: Path) -> Iterator[Daemon]:
    """Not started, so that its directories may be mounted first; cleaned up before they are unmounted."""
    made = Daemon(tmp_path / "d", *QUICK)
    yield made
    made.clean_up()


def refused(work: Callable[[], Any]) -> RpcError:
    """The refusal that the work must meet, which names the disk or the room on it."""
    with pytest.raises(RpcError, match=r"(?i)disk|space|room") as caught:
        work()
    assert "Errno" not in caught.value.message
    return caught.value


def serves_or_says(daemon: Daemon, name: str, old: int, why: str) -> bool:
    """Whether a process of the unit's after ``old`` runs, or could not be started because of ``why``."""
    unit = daemon.unit(name)
    return (unit["state"] == "running" and unit["pid"] != old) or any(why in problem for problem in unit["problems"])


def rich_wallet(client: Acknowledged, name: str = "w") -> str:
    """A wallet with ten coins to spend; an address of it."""
    client.daemon.wallet(None, "createwallet", name)
    address = client.address(name, "mined")
    client.mine(110, address)
    return address


def signed(daemon: Daemon) -> str:
    """A transaction of the wallet's that nobody has been given yet."""
    made = daemon.wallet("w", "walletcreatefundedpsbt", [], [{STRANGER: "0.5"}, LONG])
    done = daemon.wallet("w", "walletprocesspsbt", made["psbt"])
    return str(daemon.node("finalizepsbt", done["psbt"])["hex"])


def test_a_data_directory_without_a_byte_left(daemon: Daemon, mount: Callable[..., SmallDisk]) -> None:
    disk = mount(daemon.directory, "160m")
    daemon.start()
    client = Acknowledged(daemon)
    address = rich_wallet(client)
    client.pay("w", address, "1")
    raw = signed(daemon)
    height = daemon.node("getblockcount")

    disk.fill()
    assert refused(lambda: client.mine(1, address)).code == RpcCode.DATABASE_ERROR
    assert refused(lambda: daemon.node("sendrawtransaction", raw)).code == RpcCode.DATABASE_ERROR
    assert refused(lambda: client.pay("w", address, "1")).code == RpcCode.DATABASE_ERROR
    assert refused(lambda: client.address("w")).code == RpcCode.DATABASE_ERROR
    refused(lambda: daemon.wallet(None, "createwallet", "v"))
    assert not (daemon.directory / "regtest" / "wallets" / "v").exists(), "nothing is left of it"
    assert daemon.node("getblockcount") == height
    assert daemon.wallet("w", "getbalance") > 0
    problems = wait_until("somebody to be told", lambda: daemon.supervisor("status")["supervisor"]["problems"])
    assert "0 MiB free" in problems[0]
    assert daemon.run("bitcoin-mp", "health", check=False).returncode == 1, "degraded"

    for unit, why in (("node", "No room to open the chain"), ("wallet", "No space left on device")):
        old = daemon.kill(unit)
        done = partial(serves_or_says, daemon, unit, old, why)
        wait_until(f"the {unit} to serve or to say why not", done)
    disk.free()
    daemon.until_running()
    daemon.patiently(lambda: daemon.node("getblockcount"))
    wait_until("the wallet to have found the node", lambda: "synced" in daemon.unit("wallet")["status"])
    client.check()
    client.mine(1, address)
    client.pay("w", address, "1")
    daemon.wallet(None, "createwallet", "v")

    disk.fill()
    daemon.stop()
    daemon.run("bitcoind-mp", "-daemon", *daemon.options)
    wait_until("the node to say why not", partial(serves_or_says, daemon, "node", 0, "No room to open the chain"))
    disk.free()
    daemon.until_running()
    daemon.patiently(lambda: daemon.wallet(None, "loadwallet", "w"))
    client.check()
    client.check_balance("w")
    assert daemon.tracebacks() == []


def test_a_first_start_on_a_full_disk(daemon: Daemon, mount: Callable[..., SmallDisk]) -> None:
    """Fails with words, and with the status that has systemd try again."""
    mount(daemon.directory, "1m").fill()
    failed = daemon.run("bitcoind-mp", "-daemonwait", *daemon.options, check=False)
    assert (failed.returncode, failed.stderr.count("\n")) == (74, 1), failed.stderr
    assert "No space left on device" in failed.stderr
    assert not daemon.processes()


def test_each_thing_on_a_disk_of_its_own(daemon: Daemon, mount: Callable[..., SmallDisk]) -> None:
    """Wallets, mempool, indexes and logs run full one after the other; whoever doesn't need them goes on."""
    network = daemon.directory / "regtest"
    sizes = {"wallets": "32m", "mempool": "64k", "indexes": "512k", "logs": "64k", "blocks": "160m"}
    disks = {name: mount(network / name, size) for name, size in sizes.items()}
    daemon.options += ("-txindex", "-blockfilterindex")
    daemon.start()
    client = Acknowledged(daemon)
    address = rich_wallet(client)
    daemon.wallet(None, "createwallet", "other")
    there = client.address("other", "theirs")

    disks["wallets"].fill()
    height = daemon.wallet("w", "getwalletinfo")["lastprocessedblock"]["height"]
    client.mine(2, address)
    wait_until("the wallet to say so", lambda: "doesn't follow the chain" in str(daemon.unit("wallet")["problems"]))
    assert daemon.wallet("w", "getwalletinfo")["lastprocessedblock"]["height"] == height
    assert refused(lambda: client.pay("w", there, "1")).code == RpcCode.DATABASE_ERROR
    assert refused(lambda: daemon.wallet("w", "setlabel", address, "x" * 9000)).code == RpcCode.DATABASE_ERROR
    assert daemon.log("wallet").count("[w] The wallet file") == 1, "it is said once"
    daemon.kill("wallet")
    disks["wallets"].free()
    daemon.until_running()
    client.check()

    disks["mempool"].fill()
    assert refused(lambda: daemon.node("sendrawtransaction", signed(daemon))).code == RpcCode.DATABASE_ERROR
    sent = client.send("w", [{there: "0.1"}, LONG])
    assert sent not in daemon.node("getrawmempool"), "the node had no room, the wallet did"
    daemon.kill("node")
    disks["mempool"].free()
    daemon.until_running()
    client.check()

    disks["indexes"].fill()
    while "stays at height" not in str(daemon.unit("node")["problems"]):
        client.mine(20, address)
    newest = daemon.node("getblock", client.blocks[-1])["tx"][0]
    with pytest.raises(RpcError, match="still in the process of being indexed"):
        daemon.node("getrawtransaction", newest)
    disks["indexes"].free()
    wait_until("the indexes to go on", lambda: all(index["synced"] for index in daemon.node("getindexinfo").values()))
    assert daemon.node("getrawtransaction", newest)
    assert daemon.node("getblockfilter", client.blocks[-1])["filter"]

    disks["blocks"].fill(40 << 20)
    assert refused(lambda: client.mine(1, address)).code == RpcCode.DATABASE_ERROR
    assert daemon.unit("node")["restarts"] == 1
    disks["blocks"].free()
    client.mine(1, address)

    disks["logs"].fill()
    daemon.node("logging", ["all"])
    wait_until("lines to be lost", lambda: client.address("w") and daemon.unit("node")["log_lost"])
    assert "No space left on device" in daemon.unit("node")["log_error"]
    client.mine(1, address)
    disks["logs"].free()
    wait_until("lines to be written again", lambda: client.address("w") and not daemon.unit("node")["log_error"])
    assert "lines lost" in daemon.log("node")
    client.check()
    client.check_balance("w")
    client.check_balance("other")
    assert daemon.tracebacks() == []


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon without a wallet, on the disk that there is."""
    made = Daemon(tmp_path / "d", *QUICK, "-disablewallet")
    made.start()
    yield made
    made.clean_up()


def limit_files(pid: int, size: int) -> None:
    """No file of that process may grow past ``size`` bytes: what no look at the free space foresees."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.parametrize(("spare", "words"), [(0, "File too large"), (300, "the node stops: Failed to close file")])
def test_a_block_that_cannot_be_written(node: Daemon, spare: int, words: str) -> None:
    """To the journal: it is refused. To the kernel's own file, which it doesn't survive: another node takes over."""
    client = Acknowledged(node)
    client.mine(20, STRANGER)
    old = node.pid("node")
    limit_files(old, (node.directory / "regtest" / "block-journal.dat").stat().st_size + spare)
    with pytest.raises(RpcError, match=words) as told:
        client.mine(1, STRANGER)
    assert told.value.code == RpcCode.DATABASE_ERROR
    if spare:
        wait_until("another node to run", lambda: node.running("node") and node.pid("node") != old)
        ended = node.unit("node")["last_exit"]
        assert "the kernel can't go on: Failed to close file" in ended["why"]
        assert ended["code"] == 71
    else:
        limit_files(old, resource.RLIM_INFINITY)
        assert node.pid("node") == old
    client.check()
    client.mine(1, STRANGER)
    node.kill("node")
    node.until_running("node")
    client.check()
    assert node.tracebacks() == []


def test_a_chain_that_cannot_be_written_at_the_end(node: Daemon) -> None:
    """What the kernel writes when it is closed is not acknowledged anew: the journal has it."""
    client = Acknowledged(node)
    client.mine(20, STRANGER)
    limit_files(node.pid("node"), 1)
    node.supervisor("restart", "node")
    node.until_running("node")
    client.check()
    assert "Replayed 20 blocks" in node.log("node")
    client.mine(1, STRANGER)
    node.supervisor("restart", "node")
    node.until_running("node")
    client.check()
    assert node.tracebacks() == []
