"""Coming up, being refused, hanging and going down: what the node tells its service manager and its callers."""

import asyncio
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.ipc.client import connect

VECTORS = Path(os.environ.get("BITCOIND_MP_VECTORS") or Path(__file__).resolve().parents[4] / "shared" / "vectors")
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
CONFIG, DATA_CORRUPT, PORT_TAKEN, OS_ERROR, LOCKED = 78, 65, 69, 71, 75


def exit_status(node, *options: str, **environ: str) -> int:
    return node.spawn(*options, **environ).process.wait(30)


def test_it_says_that_it_is_ready_and_that_it_stops(node) -> None:
    node.start()
    assert node.messages[-1] == "READY=1" or "READY=1" in node.messages
    assert node.call("getblockcount") == 0
    table = json.loads((node.network / "run" / "node.json").read_text())
    assert {"getblockcount", "submitblock"} <= {entry["name"] for entry in table["commands"]}
    assert node.stop() == 0
    node.wait_for_message("STOPPING=1")
    assert not node.socket.exists()


def test_stop_called_ends_it_in_order(node, eventually) -> None:
    node.start()
    node.call("generatetoaddress", 3, ADDRESS)
    node.call("stop")
    assert node.process.wait(30) == 0
    assert (node.network / "block-journal.dat").stat().st_size == 8, "all is with the kernel"


def test_a_second_node_on_the_directory_is_refused_by_pid(node) -> None:
    node.start()
    first = node.process
    try:
        assert exit_status(node) == LOCKED
        assert f"(pid {first.pid})" in node.output
        assert node.call("getblockcount") == 0, "the first one serves on"
    finally:
        node.process = first


def test_bitcoin_core_s_lock_is_honoured(node) -> None:
    (node.network / "blocks").mkdir(parents=True)
    with (node.network / ".lock").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        assert exit_status(node) == LOCKED
        assert "Bitcoin Core is probably running" in node.output
    node.start()
    with (node.network / "blocks" / ".lock").open("r+") as file, pytest.raises(BlockingIOError):
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_wrong_option_ends_it_with_a_line_that_names_it(node) -> None:
    assert exit_status(node, "-nosuchoption") == CONFIG
    assert "nosuchoption" in node.output
    assert exit_status(node, "-connect=[::1]:x") == CONFIG


def test_an_address_that_can_t_be_listened_on_is_tried_again_only_where_that_may_help(node) -> None:
    assert exit_status(node, "-listen", "-bind=nosuchhost.invalid") == CONFIG
    assert "Cannot resolve -bind address: 'nosuchhost.invalid'" in node.output
    assert exit_status(node, "-listen", "-bind=192.0.2.1") == CONFIG
    assert "Unable to bind to 192.0.2.1:18444 on this computer: Cannot assign requested address." in node.output
    assert "Another node" not in node.output
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert exit_status(node, "-listen", f"-bind=127.0.0.1:{other.getsockname()[1]}") == PORT_TAKEN
        assert "Another node is probably running there" in node.output


@pytest.mark.parametrize("what", ["chainstate/CURRENT", "blocks/index/CURRENT", "block-journal.dat"])
def test_a_damaged_directory_is_said_to_be_so(node, what: str) -> None:
    node.start()
    node.call("generatetoaddress", 3, ADDRESS)
    node.stop()
    (node.network / what).write_bytes(b"this is not what was here before\n")
    assert exit_status(node) == DATA_CORRUPT
    last = [line for line in node.output.splitlines() if "error" in line][-1]
    assert "is damaged" in last and str(node.network) in last
    assert node.output.splitlines()[-1] == last, "nothing buries it"
    if what == "block-journal.dat":
        assert "Move that file away" in last and what in last
        (node.network / what).unlink()
        node.start()
    else:
        assert "-reindex" in last
        node.start("-reindex")
    assert node.call("getblockcount") == 3, "what it says to do helps"


def test_a_clock_that_is_behind_the_chain_is_not_called_damage(node) -> None:
    node.start()
    node.call("setmocktime", int(time.time()) + 86_400)
    node.call("generatetoaddress", 1, ADDRESS)
    node.stop()
    assert exit_status(node) == OS_ERROR
    last = [line for line in node.output.splitlines() if "error" in line][-1]
    assert "date and time" in last and "is damaged" not in last


def test_a_process_that_is_told_to_stop_while_it_comes_up_stops(node) -> None:
    node.spawn()
    for _ in range(3):
        threading.Event().wait(0.15)
        if node.process.poll() is None:
            node.process.send_signal(signal.SIGTERM)
    status = node.process.wait(30)
    assert status in (0, -signal.SIGTERM), "before its handler is there the signal ends it"
    node.start()
    assert node.stop() == 0


def test_callers_wait_in_the_socket_s_queue_while_it_restarts(node, tmp_path) -> None:
    """As under a supervisor that holds the socket: nobody sees a refusal."""
    listening = socket.socket(socket.AF_UNIX)
    node.socket.parent.mkdir(parents=True)
    listening.bind(str(node.socket))
    listening.listen(16)
    step = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', "
        "LISTEN_FDNAMES='node'); os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
    )

    def start() -> subprocess.Popen:
        number = listening.fileno()
        arguments = ["-m", "bitcoind_mp.node", "-regtest", f"-datadir={node.datadir}", "-listen=0"]
        with node.log.open("ab") as log:
            command = [sys.executable, "-c", step, str(number), *arguments]
            return subprocess.Popen(command, pass_fds=[number], stdout=log, stderr=log)

    node.process = start()
    try:
        assert node.call("getblockcount") == 0, "asked before it listened"
        for count in range(1, 4):
            node.call("generatetoaddress", 1, ADDRESS)
            node.kill()
            node.process = start()
            began = time.monotonic()
            assert node.call("getblockcount") == count
            assert time.monotonic() - began < 20
    finally:
        listening.close()


def test_a_kernel_that_hangs_is_told_and_the_loop_serves_on(node, tmp_path, eventually) -> None:
    fifo = tmp_path / "blocks"
    os.mkfifo(fifo)
    node.start(f"-loadblock={fifo}")
    node.call("getblockcount")
    # A block can't be dealt with; everything that needs no kernel can.
    with pytest.raises(TimeoutError):
        node.call("generatetoaddress", 1, ADDRESS, timeout=0.5)
    for _ in range(20):
        assert node.call("getblockcount", timeout=1) == 0
    assert node.call("getblock", node.call("getblockhash", 0), 0, timeout=1)
    with fifo.open("wb"):
        pass  # an empty file after all
    eventually(lambda: node.call("getblockcount") == 1, "the block that waited")
    assert node.stop() == 0


def test_a_node_whose_kernel_hangs_can_still_be_killed_and_has_lost_nothing(node, tmp_path) -> None:
    node.start()
    node.call("generatetoaddress", 5, ADDRESS)
    node.kill()
    fifo = tmp_path / "blocks"
    os.mkfifo(fifo)
    node.start(f"-loadblock={fifo}")
    assert node.call("getblockcount") == 5
    node.process.send_signal(signal.SIGTERM)
    node.wait_for_message("STOPPING=1")
    with pytest.raises(subprocess.TimeoutExpired):
        node.process.wait(1)
    node.kill()
    node.start()
    assert node.call("getblockcount") == 5


def health_of(node) -> dict:
    async def ask() -> dict:
        session = await connect(node.socket, hello=Hello("supervisor", PROTOCOL_VERSION, "regtest", "0", os.getpid()))
        health = await session.call("health.check")
        await session.close()
        return health

    return asyncio.run(ask())


def test_it_is_health_checked_by_the_loop_that_serves(node) -> None:
    node.start()
    node.call("generatetoaddress", 2, ADDRESS)
    health = health_of(node)
    assert health["status"] == "synced at height 2"
    assert health["problems"] == []
    assert health["counters"]["open_files"] > 5
    assert health["counters"]["height"] == 2


def test_what_the_kernel_wrote_can_be_rebuilt(node, eventually) -> None:
    node.start()
    node.call("generatetoaddress", 120, ADDRESS)
    before = node.call("gettxoutsetinfo")
    node.stop()
    for option in ("-reindex-chainstate", "-reindex"):
        node.start(option)
        after = node.call("gettxoutsetinfo")
        assert {**after, "disk_size": 0} == {**before, "disk_size": 0}
        assert node.stop() == 0
    node.start()
    assert node.call("getblockcount") == 120


@pytest.mark.skipif(not VECTORS.is_dir(), reason=f"no vectors in {VECTORS}")
@pytest.mark.parametrize(
    ("name", "height", "tip"),
    [
        ("regtest-206-blocks.hex", 206, "3de082158b117acd088306c395d09771bb7cbf0b7355796c1b1e0bd748ef9bed"),
        ("core-regtest/blocks.hex", 112, "2bd1731d3a286af897c4cec694ea190f653ad66865b3027d5332a44201198b45"),
    ],
)
def test_the_known_chains_come_by_file_and_by_call(
    node, make_node, eventually, name: str, height: int, tip: str
) -> None:
    path = VECTORS / name
    node.start(f"-loadblock={path}")
    eventually(lambda: node.call("getblockcount") == height)
    assert node.call("getbestblockhash") == tip
    other = make_node("other").start()
    for raw in path.read_text().split():
        assert other.call("submitblock", raw) is None
    assert other.call("getbestblockhash") == tip


def test_callers_are_told_to_wait_while_it_takes_long_to_come_up(node, eventually) -> None:
    """The key of the block files is a file that doesn't come, so the kernel stands in the middle of opening."""
    node.start()
    node.call("generatetoaddress", 4, ADDRESS)
    node.stop()
    key = node.network / "blocks" / "xor.dat"
    kept = key.read_bytes()
    key.unlink()
    os.mkfifo(key)
    node.spawn()

    def refusal() -> str:
        try:
            node.call("getblockcount", timeout=2)
        except RpcError as error:
            return f"{error.code} {error.message}"
        return ""

    assert eventually(refusal) == "-28 Loading block index…"
    assert health_of(node)["status"] == "Loading block index…"
    with pytest.raises(RpcError) as refused:
        node.call("nosuchcommand", timeout=2)
    assert refused.value.code == -28, "what isn't there yet may come"
    assert not any(message == "READY=1" for message in node.messages)
    node.wait_for_message("EXTEND_TIMEOUT_USEC")
    node.kill()
    key.unlink()
    key.write_bytes(kept)
    node.start()
    assert node.call("getblockcount") == 4


def test_a_wrong_chain_is_refused_at_the_handshake(node) -> None:
    node.start()
    with pytest.raises(RpcError, match="regtest"):
        asyncio.run(connect(node.socket, hello=Hello("wallet", PROTOCOL_VERSION, "signet", "0", 1)))


def test_its_status_line_loses_the_want_of_peers_with_the_first_and_gets_it_back_with_the_last(make_node) -> None:
    there, here = make_node("there"), make_node("here")
    on_main = "-noregtest"  # where there is a chain to be downloaded
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    here.start(on_main)
    assert "STATUS=in initial download, height 0; no peers: name some with -addnode or -connect" in here.messages
    there.start(on_main, "-listen", f"-bind=127.0.0.1:{port}")
    here.socket = here.datadir / "run" / "node.sock"
    here.call("addnode", f"127.0.0.1:{port}", "add")
    here.wait_for_message("STATUS=in initial download, height 0")
    assert here.messages[-1] == "STATUS=in initial download, height 0"
    there.kill()
    here.wait_for_message("STATUS=in initial download, height 0; no peers: the one that is named does not answer")
