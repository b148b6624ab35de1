"""One command against servers on sockets: output, errors and exit statuses as bitcoin-cli's."""

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_number_a_string_and_an_object_as_bitcoin_cli_prints_them(daemon, bitcoin_mp) -> None:
    daemon.start()
    assert bitcoin_mp("getblockcount").stdout == "112\n"
    assert bitcoin_mp("getblockhash", "5").stdout == f"{5:064x}\n"
    assert bitcoin_mp("getblockstats", "7", '["a"]').stdout == (
        '{\n  "got": 7,\n  "type": "int",\n  "stats": [\n    "a"\n  ]\n}\n'
    )


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("null", ""),
        ("true", "true\n"),
        ("[]", "[\n]\n"),
        ('{"a":{}}', '{\n  "a": {\n  }\n}\n'),
        ('"x y"', "x y\n"),
        ("0.00001000", "0.00001000\n"),
        ('"ä\\u0001"', "ä\x01\n"),
        ('["ä\\u0001\\u007f"]', '[\n  "ä\\u0001\\u007f"\n]\n'),
        ("[\n1]", "[\n  1\n]\n"),
    ],
)
def test_each_kind_of_result(daemon, bitcoin_mp, value: str, printed: str) -> None:
    daemon.start("node")
    done = bitcoin_mp("echo", value)
    assert (done.stdout, done.stderr, done.returncode) == (printed, "", 0)


def test_amounts_keep_their_digits(daemon, bitcoin_mp) -> None:
    daemon.start()
    assert bitcoin_mp("getbalance").stdout == "0.00001000\n"


def test_a_parameter_of_either_kind_is_json_where_it_parses(daemon, bitcoin_mp) -> None:
    daemon.start()
    assert '"type": "int"' in bitcoin_mp("getblockstats", "7").stdout
    assert '"type": "str"' in bitcoin_mp("getblockstats", "00ab").stdout


def test_an_error_has_cores_form_and_its_code_for_status(daemon, bitcoin_mp) -> None:
    daemon.start()
    done = bitcoin_mp("getblockhash", "999")
    assert done.stderr == "error code: -8\nerror message:\nBlock height out of range\n"
    assert (done.stdout, done.returncode) == ("", 8)


def test_bad_json_never_leaves_the_command_line(daemon, bitcoin_mp) -> None:
    daemon.start()
    done = bitcoin_mp("getblockhash", "abc")
    assert (done.stderr, done.returncode) == ("error: Error parsing JSON: abc\n", 1)


def test_an_unknown_command(daemon, bitcoin_mp) -> None:
    daemon.start()
    done = bitcoin_mp("getfoo")
    assert done.stderr == "error code: -32601\nerror message:\nMethod not found\n"
    assert done.returncode == 32601 & 0xFF


def test_wallet_not_specified_says_which_option(daemon, bitcoin_mp) -> None:
    daemon.start()
    daemon.wallet.loaded = ["alice", "bob"]
    done = bitcoin_mp("getbalance")
    assert done.returncode == 19
    assert '-rpcwallet=<walletname>" option before the command' in done.stderr
    assert bitcoin_mp("-rpcwallet=bob", "getbalance").stdout == "0.00001000\n"
    assert bitcoin_mp("-rpcwallet=bob", "echo", "1").returncode == 0
    assert daemon.node.calls[-1] == ("echo", (1, "bob"))


def test_named_parameters(daemon, bitcoin_mp) -> None:
    daemon.start()
    assert bitcoin_mp("-named", "getblockhash", "height=5").stdout == f"{5:064x}\n"
    assert bitcoin_mp("-named", "getnewaddress", "my=label").stdout == "address(my=label)\n"
    assert bitcoin_mp("-named", "getnewaddress", "label=a=b").stdout == "address(a=b)\n"


def test_parameters_from_standard_input(daemon, bitcoin_mp) -> None:
    daemon.start()
    assert bitcoin_mp("-stdin", "getblockhash", input="5\n").stdout == f"{5:064x}\n"
    assert bitcoin_mp("-stdin", input="getblockhash\n6\n").stdout == f"{6:064x}\n"
    assert bitcoin_mp("-stdinwalletpassphrase", "walletpassphrase", "60", input="s e c\n").returncode == 0
    assert daemon.wallet.passphrases == ["s e c"]
    # a line each, as getline(3) reads them: nothing else separates, nor is anything lost
    odd = "a\x0cb\x1c\x85c\u2028d"
    assert bitcoin_mp("-stdin", "help", input=f"{odd}\n").stdout == f"help: unknown command: {odd}\n"
    done = bitcoin_mp("-stdinwalletpassphrase", "getblockcount", input="x\n")
    assert (done.returncode, done.stderr[:32]) == (1, "error: -stdinwalletpassphrase is")


def test_no_answer_plays_with_a_terminal_and_a_script_has_it_as_it_is(daemon, bitcoin_mp) -> None:
    """Of a node that was broken into, or of a stranger whom it quotes."""
    daemon.start()
    evil = "\x1b]0;owned\x07\x9b2J"
    text = json.dumps(evil)
    assert bitcoin_mp("echo", text).stdout == f"{evil}\n"
    for value in (text, f"[{text}]"):
        ours, theirs = pty.openpty()
        command_line = [
            sys.executable,
            "-m",
            "bitcoind_mp.cli",
            "-regtest",
            f"-datadir={daemon.datadir}",
            "echo",
            value,
        ]
        subprocess.run(command_line, cwd=ROOT, stdout=theirs, timeout=20, check=True)
        os.close(theirs)
        shown = os.read(ours, 4096).decode()
        os.close(ours)
        assert "owned" in shown
        assert not {"\x1b", "\x07", "\x9b"} & {*shown}


@pytest.mark.parametrize("reply", [b"no JSON", b"[]", b"{}", b'{"result":}', b'{"error":7}', b"[" * 100_000])
def test_a_reply_that_is_none(daemon, bitcoin_mp, reply: bytes) -> None:
    """Somebody else listens there, or a server that was broken into."""
    daemon.start()
    daemon.stop("node")
    path = daemon.run / "node.sock"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.settimeout(60)

        def answer() -> None:
            with listening.accept()[0] as connected:
                connected.recv(65536)
                connected.sendall(reply + b"\n")

        answering = threading.Thread(target=answer)
        answering.start()
        done = bitcoin_mp("getblockcount")
        answering.join(60)
    assert (done.returncode, done.stderr) == (1, "error: couldn't parse reply from server\n")


@pytest.mark.parametrize("arguments", [["-stdin"], []])
def test_empty_input_without_a_command(daemon, bitcoin_mp, arguments: list[str]) -> None:
    done = bitcoin_mp(*arguments, input="")
    assert (done.returncode, done.stderr) == (1, "error: too few parameters (need at least command)\n")


def test_nobody_to_talk_to_says_how_to_start_one_and_starts_nothing(daemon, bitcoin_mp) -> None:
    done = bitcoin_mp("getblockcount")
    assert done.returncode == 1
    assert done.stderr.startswith("error: Could not connect to a server: nobody listens at ")
    assert f"bitcoind-mp -regtest -datadir={daemon.datadir} -daemon" in done.stderr
    assert list(daemon.run.iterdir()) == []


def test_a_table_left_behind_by_a_dead_server_misleads_nobody(daemon, bitcoin_mp) -> None:
    daemon.start()
    daemon.stop()
    assert (daemon.run / "node.json").exists()
    assert "nobody listens" in bitcoin_mp("getblockcount").stderr


def test_shared_commands_go_to_the_supervisor_else_to_the_worker(daemon, bitcoin_mp) -> None:
    daemon.start()
    assert bitcoin_mp("uptime").stdout == "7\n"
    daemon.stop("supervisor")
    assert bitcoin_mp("uptime").stdout == "3\n"


def test_a_worker_alone(daemon, bitcoin_mp) -> None:
    daemon.start("node")
    assert bitcoin_mp("getblockcount").stdout == "112\n"
    done = bitcoin_mp("getbalance")
    assert (done.returncode, done.stderr) == (
        1,
        f"error: getbalance is not known to the node. The wallet is not running: nobody listens at "
        f"{daemon.run}/wallet.sock. Start it with: bitcoin-mp-wallet -regtest -datadir={daemon.datadir}\n",
    )
    done = bitcoin_mp("status")
    assert (done.returncode, done.stderr) == (
        3,
        "error: status is a command of the supervisor, and the node runs without one\n",
    )


def test_a_wallet_alone_says_that_the_node_is_not_running(daemon, bitcoin_mp) -> None:
    daemon.start("wallet")
    start = f"Start it with: bitcoin-mp-node -regtest -datadir={daemon.datadir}\n"
    gone = f"The node is not running: nobody listens at {daemon.run}/node.sock. {start}"
    done = bitcoin_mp("getblockcount")
    assert (done.returncode, done.stderr) == (1, f"error: getblockcount is not known to the wallet. {gone}")
    daemon.start("node")
    daemon.stop("node")
    for arguments in (["getblockcount"], ["-getinfo"]):
        done = bitcoin_mp(*arguments)
        assert (done.returncode, done.stderr[-len(gone) :]) == (1, gone)


def test_two_workers_without_a_supervisor_know_what_is_no_command(daemon, bitcoin_mp) -> None:
    daemon.start("node", "wallet")
    assert bitcoin_mp("getfoo").stderr.endswith("Method not found\n")


def test_a_start_is_advised_only_where_it_would_be_heard(daemon, bitcoin_mp) -> None:
    done = bitcoin_mp("-ipcconnect=unix:/nope/x.sock", "getblockcount")
    assert (done.returncode, "Start one with" in done.stderr) == (1, False)
    assert "a server that was started with -ipcbind=unix:/nope/x.sock would" in done.stderr
    assert "-daemon" in bitcoin_mp("-ipcconnect=unix:run/supervisor.sock", "getblockcount").stderr


def test_a_socket_elsewhere(daemon, bitcoin_mp, tmp_path: Path) -> None:
    daemon.start("node")
    elsewhere = f"-ipcconnect=unix:{daemon.run}/node.sock"
    assert bitcoin_mp(elsewhere, "getblockcount").stdout == "112\n"
    assert bitcoin_mp("-ipcconnect=unix:run/node.sock", "getblockcount").stdout == "112\n"
    done = bitcoin_mp(f"-ipcconnect=unix:{tmp_path}/none.sock", "getblockcount")
    assert (done.returncode, "none.sock" in done.stderr) == (1, True)


def test_a_worker_that_nobody_lets_in(daemon, bitcoin_mp) -> None:
    daemon.start("supervisor")
    daemon.bind("wallet")
    (daemon.run / "wallet.json").write_text('{"commands": []}')
    done = bitcoin_mp("getblockcount")
    expected = f"error: getblockcount is not known to what runs, and nobody listens at {daemon.run}/node.sock\n"
    assert (done.returncode, done.stderr) == (1, expected)


@contextlib.contextmanager
def under_way(daemon: Any, *words: str) -> "Iterator[subprocess.Popen[str]]":
    """A command that is waited for meanwhile; ended if nobody answers it."""
    command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}", *words]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("words", [["getblockcount"], ["help"], ["-generate"], ["-rpcwait", "getbalance"], ["getfoo"]])
def test_workers_that_come_up_for_the_first_time_are_waited_for(daemon, bitcoin_mp, words: list[str]) -> None:
    """There is no table of commands yet: nothing is known of them but that somebody bound their sockets."""
    daemon.start("supervisor")
    daemon.bind("node")
    daemon.bind("wallet")
    with under_way(daemon, *words) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        daemon.start("node")
        daemon.start("wallet")
        first = (*process.communicate(timeout=60), process.returncode)
    later = bitcoin_mp(*words)
    assert first == (later.stdout, later.stderr, later.returncode)


def test_a_worker_that_says_why_it_is_not_ready_is_quoted(daemon, bitcoin_mp) -> None:
    """Core's -28 of one that warms up for the first time, or the supervisor's word on one that has failed."""
    daemon.start("supervisor")
    daemon.bind("wallet")
    (daemon.run / "wallet.json").write_text('{"commands": []}')
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(daemon.run / "node.sock"))
        listening.listen()
        listening.settimeout(60)

        def answer() -> None:
            asked = b""
            while not asked:  # some only look whether anybody is there
                with listening.accept()[0] as connected:
                    asked = connected.recv(65536)
                    if asked:
                        connected.sendall(b'{"jsonrpc":"2.0","error":{"code":-28,"message":"Loading"},"id":1}\n')

        answering = threading.Thread(target=answer)
        answering.start()
        done = bitcoin_mp("getblockcount")
        answering.join(60)
    assert (done.returncode, done.stderr) == (28, "error code: -28\nerror message:\nLoading\n")


def test_rpcwait_waits_for_a_server(daemon) -> None:
    command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}"]
    waiting = subprocess.Popen([*command_line, "-rpcwait", "getblockcount"], cwd=ROOT, stdout=subprocess.PIPE)
    daemon.start("node")
    assert waiting.communicate(timeout=20)[0] == b"112\n"


def test_rpcwait_waits_for_the_server_that_has_the_command(daemon) -> None:
    daemon.start("wallet")
    command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}"]
    asked = [[*command_line, "-rpcwait", word] for word in ("getblockcount", "-getinfo")]
    waiting = [subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) for words in asked]
    with pytest.raises(subprocess.TimeoutExpired):
        waiting[0].wait(timeout=2)
    daemon.start("node")
    assert waiting[0].communicate(timeout=20)[0] == b"112\n"
    assert waiting[1].communicate(timeout=20)[0].startswith(b"Chain: regtest\n")


def test_rpcwait_does_not_wait_for_the_part_that_getinfo_can_do_without(daemon, bitcoin_mp) -> None:
    daemon.start("node")
    assert bitcoin_mp("-rpcwait", "-getinfo").returncode == 0


def test_rpcwaittimeout_gives_up(daemon, bitcoin_mp) -> None:
    done = bitcoin_mp("-rpcwait", "-rpcwaittimeout=0.3", "getblockcount")
    assert (done.returncode, done.stderr[:44]) == (1, "error: timeout on transient error: Could not")


def test_rpcclienttimeout(daemon, bitcoin_mp) -> None:
    daemon.start("node")
    done = bitcoin_mp("-rpcclienttimeout=0.2", "waitforblock")
    assert (done.returncode, "within 0.2 s" in done.stderr) == (1, True)


def test_progress_of_a_long_call_is_passed_over(daemon, bitcoin_mp) -> None:
    daemon.start("node")
    assert bitcoin_mp("slow").stdout == "done\n"


def test_ctrl_c_ends_the_command_and_cancels_the_call(daemon) -> None:
    daemon.start("node")
    command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}", "waitforblock"]
    running = subprocess.Popen(command_line, cwd=ROOT, stderr=subprocess.PIPE)
    assert daemon.node.started.wait(20)
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=20)[1] == b""
    assert running.returncode == 130
    assert daemon.node.cancelled.wait(20)


def test_a_server_that_dies_in_mid_call_leaves_the_outcome_unknown(daemon) -> None:
    daemon.start("node")
    command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}"]
    running = subprocess.Popen([*command_line, "-rpcwait", "mine"], cwd=ROOT, stderr=subprocess.PIPE)
    assert daemon.node.started.wait(20)
    daemon.sever("node")
    error = running.communicate(timeout=20)[1].decode()
    assert (running.returncode, "Whether the command took effect is unknown" in error) == (1, True)


@pytest.mark.parametrize("cut", ["sever", "stop"])
def test_what_only_reads_is_asked_again_of_the_next_process(daemon, cut: str) -> None:
    daemon.start("node")
    command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}"]
    running = subprocess.Popen([*command_line, "waitforheight", "113"], cwd=ROOT, stdout=subprocess.PIPE)
    assert daemon.node.started.wait(20)
    daemon.replace("node", killed=cut == "sever")
    daemon.node.height = 113
    assert running.communicate(timeout=20)[0] == b"113\n"
    assert daemon.node.calls == [("waitforheight", 113)] * 2


def test_a_call_that_a_stop_cancels_says_so_where_nobody_comes_after(daemon) -> None:
    daemon.start("node")
    command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}"]
    running = subprocess.Popen([*command_line, "waitforheight", "113"], cwd=ROOT, stderr=subprocess.PIPE)
    assert daemon.node.started.wait(20)
    daemon.stop("node")
    assert running.communicate(timeout=20)[1] == b"error code: -9\nerror message:\nShutting down\n"
    assert running.returncode == 9


def test_a_reader_that_leaves_is_no_traceback(daemon, bitcoin_mp) -> None:
    daemon.start("node")
    reading, writing = os.pipe()
    os.close(reading)
    command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}", "getblockcount"]
    done = subprocess.run(command_line, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, timeout=20, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("arguments", [["getblockcount"], ["-getinfo"], ["status"], ["-help"], ["-version"]])
def test_an_answer_that_cannot_be_written(daemon, arguments: list[str]) -> None:
    daemon.start()
    command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}", *arguments]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command_line, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (1, b"error: could not write the answer: No space left on device\n")


@pytest.mark.parametrize(
    ("arguments", "closed", "expected"),
    [
        ("getblockcount", ">&-", (1, "", "error: could not write the answer: Bad file descriptor\n")),
        ("getblockhash 999", "2>&-", (8, "", "")),
        ("-stdin getblockcount", "<&-", (0, "112\n", "")),
        ("-stdin getblockcount", "<&- >&- 2>&-", (1, "", "")),
    ],
)
def test_standard_streams_that_are_closed(daemon, arguments: str, closed: str, expected: tuple[int, str, str]) -> None:
    daemon.start()
    command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}"]
    script = f'"$@" {arguments} {closed}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *command_line], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == expected


def test_getinfo(daemon, bitcoin_mp) -> None:
    daemon.start()
    assert bitcoin_mp("-getinfo").stdout == (
        "Chain: regtest\nBlocks: 112\nHeaders: 112\n"
        f"Verification progress: {'▒' * 10}{'░' * 10} 50.0000%\n"
        "Difficulty: 4.6e-10\n\nNetwork: in 1, out 2, total 3\nVersion: 319900\nTime offset (s): 0\n"
        "Proxies: 127.0.0.1:9050 (onion)\nMin tx relay fee rate (BTC/kvB): 1e-6\n\n"
        "Wallet: alice\nKeypool size: 4000\nBalance: 1.5\n\nWarnings: (none)\n"
    )
    daemon.wallet.loaded = ["alice", ""]
    assert '\nBalances\n       1.5 alice\n       1.5 ""\n' in bitcoin_mp("-getinfo").stdout
    assert "\x1b[34mChain: regtest\x1b[0m\n" in bitcoin_mp("-color=always", "-getinfo").stdout
    assert '"walletname": "alice"' in bitcoin_mp("-json", "-getinfo").stdout
    assert bitcoin_mp("-getinfo", "x").stderr == "error: -getinfo takes no arguments\n"


def test_getinfo_without_a_wallet(daemon, bitcoin_mp) -> None:
    daemon.start("node")
    done = bitcoin_mp("-getinfo")
    assert done.returncode == 0
    assert "Wallet" not in done.stdout


def test_generate(daemon, bitcoin_mp) -> None:
    daemon.start()
    printed = bitcoin_mp("-generate", "2", "7").stdout
    assert printed == (
        '{\n  "address": "address()",\n  "blocks": [\n    "address():0:7",\n    "address():1:7"\n  ]\n}\n'
    )
    assert "greater than zero" in bitcoin_mp("-generate", "0").stderr
    assert "Only one of -generate, -getinfo" in bitcoin_mp("-generate", "-getinfo").stderr


def test_bad_options_stop_with_78(bitcoin_mp) -> None:
    done = bitcoin_mp("-nosuch", "getblockcount")
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)


def test_the_one_shot_path_imports_nothing_dear(daemon) -> None:
    daemon.start()
    code = (
        "import sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "sys.argv[:2] = ['bitcoin-mp']\n"
        "from bitcoind_mp.cli.__main__ import main\n"
        "status = main()\n"
        "print(*sorted(sys.modules), file=sys.stderr)\n"
        "sys.exit(status)\n"
    )
    arguments = ["-regtest", f"-datadir={daemon.datadir}", "getblockstats", "7", '["x"]']
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", code, str(ROOT), *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    modules = set(done.stderr.split())
    assert "bitcoind_mp.cli.command.oneshot" in modules
    ours = {module for module in modules if module.startswith("bitcoind_mp")}
    assert ours == {
        "bitcoind_mp",
        *(f"bitcoind_mp.cli{x}" for x in ("", ".__main__", ".arguments", ".jsontext", ".routing")),
        *(f"bitcoind_mp.cli.command{x}" for x in ("", ".calling", ".exchange", ".oneshot", ".printed")),
        *(f"bitcoind_mp.config{x}" for x in ("", ".chains", ".configuration", ".grammar", ".loading")),
        *(f"bitcoind_mp.config{x}" for x in (".option", ".options", ".settings", ".texts")),
        "bitcoind_mp.ipc",
        "bitcoind_mp.ipc.wire",
        "bitcoind_mp.ipc.wire.plain",
    }
    dear = {"argparse", "asyncio", "collections", "dataclasses", "decimal", "enum", "functools", "json", "pathlib"}
    dear |= {"prompt_toolkit", "re", "socket", "typing", "msgspec", "jsonrpcclient"}
    assert not modules & dear


def test_a_server_that_the_first_call_starts_is_waited_for(daemon) -> None:
    """As systemd does it: it listens, and starts the server once somebody connects."""
    daemon.start("node")
    path, table = daemon.run / "node.sock", daemon.run / "node.json"
    started = (path.rename(daemon.run / "started.sock"), table.rename(daemon.run / "started.json"))
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    listening.settimeout(60)
    with under_way(daemon, "getblockcount") as process:
        waiting, _ = listening.accept()
        started[0].replace(path)
        started[1].replace(table)
        listening.close()  # it may wait here once more: one only looks whether anybody is there
        waiting.close()  # not before: it would come back to this socket, which answers nobody
        assert process.communicate(timeout=60)[0] == "112\n"


def test_a_wallet_s_own_service_comes_before_the_one_for_all(daemon, bitcoin_mp) -> None:
    """Also where the call is what starts it. Gone while it is waited for, it leaves the call to the other."""
    daemon.start("wallet")
    path = daemon.run / "wallet@own.sock"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    listening.settimeout(60)
    with under_way(daemon, "-rpcwallet=own", "getbalance") as process:
        listening.accept()[0].close()
        listening.close()
        path.unlink()
        assert process.communicate(timeout=60)[0] == bitcoin_mp("getbalance").stdout != ""
