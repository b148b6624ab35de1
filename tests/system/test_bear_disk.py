"""Full disks under whole daemons: the error says so, what was acknowledged stays, and work goes on once there is room.

Real file systems are filled, at each place that something is written to. Only root may mount them.
"""

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
    """A transaction of the wallet's that nobody has been given yet, longer than what is left of any page."""
    outputs = [{STRANGER: "0.5"}, {"data": "00" * 8000}]
    made = daemon.wallet("w", "walletcreatefundedpsbt", [], outputs)
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
