"""Workers that stand still: the watchdog sees the serving loop and nothing else, and what was acknowledged stays."""

import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from acknowledged import Acknowledged
from harness import Daemon, seconds_in, wait_until

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError
from bitcoind_mp.ipc.wire.blocking import call

QUICK = ("-keypool=10", "-fallbackfee=0.001", "-watchdog=1.6", "-healthinterval=0.1", "-healthtimeout=0.2")
STOP_TIMEOUT = 1  # seconds
#: That are logged in more bytes than a pipe holds (65,536, pipe(7)).
MANY_CALLS = 1500
STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
STACKS = "most recent call first"


def in_background(work: Callable[[], Any]) -> "list[Any]":
    """Start a call that nobody may answer; what came of it is appended to the list."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except (OSError, RpcError) as error:
            outcome.append(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome


def until_replaced(daemon: Daemon, unit: str, old: int) -> dict[str, Any]:
    """The unit's status once another process of it runs."""
    return wait_until(
        f"another {unit} to run",
        lambda: (found := daemon.unit(unit))["state"] == "running" and found["pid"] != old and found,
    )


def test_workers_that_are_stopped(make_daemon: Callable[..., Daemon]) -> None:
    """By SIGSTOP, with calls waiting: health says so, the watchdog ends and replaces them, the calls are answered."""
    daemon = make_daemon("d", *QUICK)
    client = Acknowledged(daemon)
    daemon.wallet(None, "createwallet", "w")
    address = client.address("w")
    client.mine(101, address)
    client.pay("w", address, 1)
    for unit, ask in (
        ("node", lambda: daemon.node("getblockcount")),
        ("wallet", lambda: daemon.wallet(None, "listwallets")),
    ):
        old = daemon.pid(unit)
        os.kill(old, signal.SIGSTOP)
        outcome = in_background(ask)
        wait_until("health to notice", lambda: "no answer within 0.2 s" in str(daemon.unit(unit)["problems"]))  # noqa: B023
        assert daemon.run("bitcoin-mp", "health", check=False).returncode in (1, 2)
        status = until_replaced(daemon, unit, old)
        assert status["last_exit"]["why"] == ("watchdog: its loop gave no sign of life for 1.6 s; killed by SIGABRT"), (
            "the whole ladder was not needed: a stopped process is continued"
        )
        assert STACKS in daemon.log(unit)
        wait_until("the call that waited to end", lambda: outcome)  # noqa: B023
        assert daemon.patiently(ask)
    client.check()
    assert daemon.tracebacks() == []
    daemon.stop()


def test_a_supervisor_that_is_stopped_holds_up_no_caller(make_daemon: Callable[..., Daemon]) -> None:
    """Whatever its workers log meanwhile, which nobody reads: more than their pipes hold. It misses none of it."""
    daemon = make_daemon("d", *QUICK, "-debug=ipc")
    supervisor = int(daemon.supervisor("status")["supervisor"]["pid"])
    pids = [daemon.pid("node"), daemon.pid("wallet")]
    answered = []
    os.kill(supervisor, signal.SIGSTOP)
    try:
        for _ in range(MANY_CALLS):
            answered.append(daemon.node("getblockcount"))
            daemon.wallet(None, "listwallets")
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert len(answered) == MANY_CALLS
    for unit, method in (("node", "getblockcount"), ("wallet", "listwallets")):
        wait_until(f"all lines of the {unit}", lambda: daemon.log(unit).count(f"{method}(): ok") >= MANY_CALLS)  # noqa: B023
        lines = [line for line in daemon.log(unit).splitlines() if f"{method}(): ok" in line]
        assert sum(map(len, lines)) > 65536, "else the pipe had held them"
        assert "missing" not in daemon.log(unit)
    assert [daemon.pid("node"), daemon.pid("wallet")] == pids
    daemon.stop()


def test_a_wallet_whose_loop_waits_inside_python(make_daemon: Callable[..., Daemon]) -> None:
    """For a writer that doesn't come, of what is to be a wallet's file."""
    daemon = make_daemon("d", *QUICK)
    client = Acknowledged(daemon)
    daemon.wallet(None, "createwallet", "w")
    client.address("w", "before")
    place = daemon.directory / "regtest" / "wallets" / "v"
    place.mkdir()
    os.mkfifo(place / "wallet.sqlite")
    old = daemon.pid("wallet")
    outcome = in_background(lambda: daemon.wallet(None, "loadwallet", "v"))
    height = daemon.node("getblockcount")
    status = wait_until("the watchdog", lambda: (found := daemon.unit("wallet"))["last_exit"] and found)
    assert status["last_exit"]["why"].startswith("watchdog: its loop gave no sign of life for 1.6 s")
    until_replaced(daemon, "wallet", old)
    assert isinstance(wait_until("the call to end", lambda: outcome)[0], Disconnected)
    stacks = daemon.log("wallet").partition(STACKS)[2]
    assert "directory.py" in stacks and "in _is_sqlite" in stacks, "it says where the loop was"
    assert daemon.node("getblockcount") == height, "the node has noticed nothing"
    assert daemon.unit("node")["restarts"] == 0
    client.check()
    assert daemon.wallet(None, "listwallets") == ["w"]
    daemon.stop()


def test_a_kernel_that_hangs(make_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    """In a file of blocks that doesn't come: the loop serves on, health says for how long, nobody is killed; and a stop
    has its deadline."""
    fifo = tmp_path / "blocks"
    os.mkfifo(fifo)
    daemon = make_daemon("d", *QUICK, f"-stoptimeout=node:{STOP_TIMEOUT}", "-kernelpatience=1", f"-loadblock={fifo}")
    client = Acknowledged(daemon)
    old = daemon.pid("node")
    with pytest.raises(CallTimeout):
        call(daemon.socket("node"), "generatetoaddress", [1, STRANGER], timeout=0.3)

    def busy() -> bool:
        check = daemon.unit("node")["check"]
        assert check["failures"] == 0, "it is the loop that answers"
        return re.search(r"kernel busy for [2-9] s \(open a file of blocks\)", check["status"]) is not None

    wait_until("health to say so", busy)
    assert daemon.node("getblockcount") == 0
    daemon.wallet(None, "createwallet", "w")
    client.address("w")
    assert (daemon.pid("node"), daemon.unit("node")["restarts"]) == (old, 0), "it is not killed for it"
    with fifo.open("wb"):
        pass
    client.blocks.append(wait_until("what waited to be done", lambda: daemon.node("getbestblockhash")))
    wait_until("the block", lambda: daemon.node("getblockcount") == 1)
    client.blocks = [daemon.node("getbestblockhash")]

    daemon.supervisor("restart", "node")
    daemon.until_running()
    stuck = daemon.pid("node")
    wait_until("it to hang again", busy)
    outcome = in_background(lambda: daemon.supervisor("restart", "node"))
    wait_until("it to be killed", lambda: daemon.unit("node")["pid"] not in (None, stuck))
    why = daemon.unit("node")["last_exit"]["why"]
    assert re.fullmatch(r"did not stop within [\d.]+ s; killed by SIGKILL", why)
    assert seconds_in(why) >= STOP_TIMEOUT
    with fifo.open("wb"):
        pass
    wait_until("the restart to be answered", lambda: outcome)
    daemon.until_running()
    client.check()
    assert daemon.tracebacks() == []
    daemon.stop()
