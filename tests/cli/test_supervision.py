"""The supervisor's own commands: for a person, as JSON, and for a script's exit status."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from bitcoind_mp.cli.command.progress import Progress

ROOT = Path(__file__).resolve().parent.parent.parent


def test_status_for_a_person_and_as_json(daemon, bitcoin_mp) -> None:
    daemon.start()
    text = bitcoin_mp("status").stdout
    assert text.startswith(
        "● bitcoind-mp - supervisor\n     Active: active (running) since Thu 1970-01-01 00:16:40 UTC; "
    )
    assert "\n\n● node - chain, mempool and peers\n" in text
    assert "\nnode says hello\n\n● wallet - keys and coins\n" in text
    assert [each["name"] for each in json.loads(bitcoin_mp("-json", "status").stdout)["units"]] == ["node", "wallet"]


@pytest.mark.parametrize("words", [["status", "-json", "wallet"], ["status", "wallet", "--json"]])
def test_json_may_stand_after_the_command(daemon, bitcoin_mp, words: list[str]) -> None:
    daemon.start()
    assert [each["name"] for each in json.loads(bitcoin_mp(*words).stdout)["units"]] == ["wallet"]


def test_status_of_one_unit_tells_a_script_whether_it_is_active(daemon, bitcoin_mp) -> None:
    daemon.start()
    done = bitcoin_mp("status", "wallet")
    assert (done.returncode, done.stdout.split("\n")[0]) == (0, "● wallet - keys and coins")
    daemon.supervisor.units[1] |= {"state": "failed", "active": "failed", "pid": None}
    assert bitcoin_mp("status", "wallet").returncode == 3
    assert bitcoin_mp("status", "node").returncode == 0
    done = bitcoin_mp("status", "miner")
    assert (done.returncode, "There is no unit named 'miner'" in done.stderr) == (4, True)
    assert "\x1b[31m×\x1b[0m" in bitcoin_mp("-color=always", "status", "wallet").stdout


def test_health_has_the_statuses_that_monitors_know(daemon, bitcoin_mp) -> None:
    daemon.start()
    done = bitcoin_mp("health")
    assert (done.returncode, done.stdout) == (0, "OK: node running, wallet running\n")
    daemon.supervisor.health_answer |= {"state": "degraded", "exit": 1, "problems": ["wallet: stopped"]}
    assert (bitcoin_mp("health").returncode, bitcoin_mp("health").stdout) == (1, "DEGRADED: wallet: stopped\n")
    daemon.supervisor.health_answer |= {"state": "failed", "exit": 2}
    done = bitcoin_mp("-json", "health")
    assert (done.returncode, json.loads(done.stdout)["state"]) == (2, "failed")
    daemon.supervisor.health_answer["problems"] = ["wallet: corrupt:\nrow 1 is \x1b[31m  missing\nrow 2"]
    said = "wallet: corrupt: row 1 is \N{REPLACEMENT CHARACTER}[31m missing row 2"
    assert bitcoin_mp("health").stdout == f"FAILED: {said}\n"


def test_with_nothing_running_monitors_are_told_so(daemon, bitcoin_mp) -> None:
    where = f"Could not connect to a server: nobody listens at {daemon.run}"
    done = bitcoin_mp("health")
    assert (done.returncode, done.stdout, done.stderr) == (2, f"FAILED: {where}\n", "")
    done = bitcoin_mp("-json", "health")
    assert (done.returncode, json.loads(done.stdout)["exit"]) == (2, 2)
    for words in (["status"], ["status", "node"]):
        done = bitcoin_mp(*words)
        assert (done.returncode, done.stdout, done.stderr.startswith(f"error: {where}\n")) == (3, "", True)


@pytest.mark.parametrize("command", ["start", "stop", "restart", "reload"])
def test_with_nothing_running_no_unit_can_be_stopped(daemon, bitcoin_mp, command: str) -> None:
    """Also where the tables of what ran before are there, the node's with a stop that takes a number."""
    for role in ("supervisor", "node"):
        params = [{"name": "wait", "type": "number"}] if role == "node" else [{"name": "unit", "type": "string"}]
        commands = [{"name": name, "topic": "control", "params": params} for name in ("stop", "start")]
        (daemon.run / f"{role}.json").write_text(json.dumps({"role": role, "commands": commands}))
    done = bitcoin_mp(command, "node")
    assert (done.returncode, done.stderr.startswith("error: Could not connect to a server: nobody")) == (1, True)


def test_start_and_stop_say_what_became_of_the_unit(daemon, bitcoin_mp) -> None:
    daemon.start()
    assert bitcoin_mp("start", "node").stdout == "node: running (pid 100)\n"
    assert bitcoin_mp("stop", "node").stdout == "node: stopped\n"
    assert bitcoin_mp("stop").stdout == "bitcoind-mp stopping\n"
    assert json.loads(bitcoin_mp("-json", "start", "node").stdout)["pid"] == 100


def test_several_units_each_have_their_turn(daemon, bitcoin_mp) -> None:
    daemon.start()
    assert bitcoin_mp("stop", "node", "wallet").stdout == "node: stopped\nwallet: stopped\n"
    assert bitcoin_mp("start", "node", "wallet").stdout == "node: running (pid 100)\nwallet: running (pid 100)\n"
    done = bitcoin_mp("status", "wallet", "node", "-n", "3")
    assert (done.returncode, done.stdout[:8]) == (0, "● wallet")
    assert "\n\n● node - chain" in done.stdout
    assert [each["name"] for each in json.loads(bitcoin_mp("-json", "status", "wallet", "node").stdout)["units"]] == [
        "wallet",
        "node",
    ]
    assert bitcoin_mp("logs", "wallet", "node", "-n1").stdout == "==> wallet <==\nwallet 2\n\n==> node <==\nnode 2\n"
    daemon.supervisor.units[1] |= {"state": "failed", "active": "failed"}
    assert bitcoin_mp("status", "node", "wallet").returncode == 3


@pytest.mark.parametrize("answer", [{}, [], {"state": 7}, {"units": [{"name": None}]}])
def test_an_answer_that_is_not_what_we_know_is_shown_as_it_came(daemon, bitcoin_mp, answer: object) -> None:
    daemon.start()
    daemon.supervisor.health_answer = answer
    done = bitcoin_mp("health")
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (1, answer, "")
    in_a_shell = bitcoin_mp(input="health\nuptime\n")
    assert (in_a_shell.returncode, in_a_shell.stdout) == (0, f"{done.stdout}7\n")


def test_reload_exec_is_the_daemon_s_own(daemon, bitcoin_mp) -> None:
    daemon.start()
    done = bitcoin_mp("reload", "--exec")
    assert (done.returncode, done.stdout) == (0, "bitcoind-mp 2 takes over\nbitcoind-mp 2 has taken over\n")
    in_a_shell = bitcoin_mp(input="reload --exec\n")
    assert (in_a_shell.returncode, in_a_shell.stdout) == (0, done.stdout)


def test_one_unit_that_is_refused_keeps_none_of_the_others_from_its_turn(daemon, bitcoin_mp) -> None:
    daemon.start()
    done = bitcoin_mp("start", "miner", "node")
    assert (done.returncode, done.stdout) == (8, "node: running (pid 100)\n")
    assert "There is no unit named 'miner'" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["restart"], "restart: which unit? Expected node or wallet (or signer, with -signerprocess), or several"),
        (["start"], "start: which unit? Expected node or wallet (or signer, with -signerprocess), or several"),
        (["logs", "node", "-n", "2", "-f", "extra"], "logs -f: unexpected 'extra': expected one unit, or none for all"),
        (["logs", "node", "-n", "few"], "-n few: expected a number of lines"),
        (["health", "node"], "health: unexpected 'node': it is about all units"),
        (["stop", "-x"], "stop: unknown option -x"),
    ],
)
def test_wrong_words_are_named_in_one_line(daemon, bitcoin_mp, words: list[str], said: str) -> None:
    daemon.start()
    done = bitcoin_mp(*words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {said}\n")


def test_what_a_worker_says_of_itself_can_t_play_with_the_terminal(daemon, bitcoin_mp) -> None:
    """Of its health, of what is wrong, and what the log had as its last error, whose words a peer may have chosen."""
    daemon.start()
    evil = "\x1b]0;owned\x07\x1b[2J\x9b2J"
    told = {"problems": [evil], "reason": evil, "sandbox": {"protections": [evil], "missing": [evil]}}
    told |= {"last_exit": {"why": evil, "time": 1000.0}, "health": "degraded", "cause": "crashed", "advice": evil}
    daemon.supervisor.units[0] |= {**told, "check": {"time": 1000.0, "status": evil}}
    daemon.supervisor.health_answer |= {"state": "degraded", "exit": 1, "problems": [evil]}
    daemon.supervisor.why_not = evil
    for words in (["status"], ["status", "node"], ["health"], ["start", "node"]):
        done = bitcoin_mp(*words)
        assert "owned" in done.stdout + done.stderr
        assert not {"\x1b", "\x07", "\x9b"} & {*done.stdout, *done.stderr}, words


def test_logs(daemon, bitcoin_mp) -> None:
    daemon.start()
    assert bitcoin_mp("logs", "node").stdout == "node 1\nnode 2\n"
    assert bitcoin_mp("logs", "-n", "1", "node").stdout == "node 2\n"
    assert bitcoin_mp("logs", "node", "1").stdout == "node 2\n"
    assert bitcoin_mp("logs", "node", "-n1").stdout == "node 2\n"
    assert bitcoin_mp("logs").stdout == "==> node <==\nnode 1\nnode 2\n\n==> wallet <==\nwallet 1\nwallet 2\n"
    done = bitcoin_mp("logs", "--bogus")
    assert (done.returncode, done.stderr) == (1, "error: logs: unknown option --bogus: expected -f or -n LINES\n")
    assert bitcoin_mp("logs", "-n").stderr == "error: -n needs a number of lines\n"


def test_logs_are_followed_until_the_supervisor_ends(daemon) -> None:
    daemon.start()
    arguments = ["-regtest", f"-datadir={daemon.datadir}", "logs", "wallet", "-f"]
    following = subprocess.Popen(
        [sys.executable, "-m", "bitcoind_mp.cli", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert following.stdout is not None
    assert [following.stdout.readline(), following.stdout.readline()] == ["first\n", "second\n"]
    daemon.stop("supervisor")
    assert following.communicate(timeout=20)[1] == "The supervisor has ended.\n"
    assert following.returncode == 1


@pytest.mark.parametrize("command", [["logs", "wallet", "-f", "-n", "007"], ["events"]])
def test_whoever_follows_ends_quietly_once_nobody_reads(daemon, command: list[str]) -> None:
    daemon.start()
    following = subprocess.Popen(
        [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}", *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert following.stdout is not None and following.stderr is not None
    following.stdout.close()
    assert following.stderr.read() == ""
    following.stderr.close()
    assert following.wait(20) == 1


EVENTS = [
    "2023-11-14T22:13:20Z unit        node failed, was starting: no \N{REPLACEMENT CHARACTER}[31mroom\n",
    f"2023-11-14T22:13:20Z tip         7 {'ab' * 32}\n",
    f"2023-11-14T22:13:20Z transaction 'my wallet' {'cd' * 32} unconfirmed\n",
    f"2023-11-14T22:13:20Z transaction '' {'cd' * 32} in block 7\n",
    "2023-11-14T22:13:20Z alert       The node has failed\n",
    "2023-11-14T22:13:20Z alert       over: The node has failed\n",
    "2023-11-14T22:13:20Z dropped     12 events are missing here: they came faster than they were read\n",
    "2023-11-14T22:13:20Z missed      3 blocks came before the node could tell of each\n",
]


def following(daemon, *words: str) -> "subprocess.Popen[str]":
    arguments = ["-regtest", f"-datadir={daemon.datadir}", *words]
    return subprocess.Popen(
        [sys.executable, "-m", "bitcoind_mp.cli", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def test_events_are_followed_until_the_supervisor_ends(daemon) -> None:
    daemon.start()
    process = following(daemon, "events")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in EVENTS] == EVENTS
    daemon.stop("supervisor")
    assert process.communicate(timeout=20)[1] == "The supervisor has ended.\n"
    assert process.returncode == 1


@pytest.mark.parametrize("words", [("-json", "events", "tip", "alert"), ("events", "tip", "alert", "-json")])
def test_events_of_a_kind_as_json_lines(daemon, words) -> None:
    daemon.start()
    process = following(daemon, *words)
    assert process.stdout is not None
    told = [json.loads(process.stdout.readline()) for _ in range(3)]
    assert told[0] == {"time": 1_700_000_000.5, "kind": "tip", "hash": "ab" * 32, "height": 7}
    assert [notice["kind"] for notice in told] == ["tip", "alert", "alert"]
    process.kill()
    process.communicate()


def test_events_that_there_are_not(daemon, bitcoin_mp) -> None:
    done = bitcoin_mp("events", "mempool")
    expected = (
        "error: events: unexpected 'mempool': expected unit or tip or transaction or alert, several, or none for all\n"
    )
    assert (done.returncode, done.stderr) == (1, expected)
    assert "Could not connect" in bitcoin_mp("events").stderr
    daemon.start()
    assert json.loads(bitcoin_mp("-named", "events").stdout) == {"kinds": {}}


def test_progress_stays_on_one_line_of_a_narrow_terminal() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 5, 20, 0, 0))
    with os.fdopen(theirs, "w") as terminal:
        progress = Progress(terminal)
        progress.show("node starting (verifying blocks: 17 %)")
        assert os.read(ours, 4096).decode() == "\r\x1b[Knode starting (verif"[: 4 + 19]
        progress.show("node starting (verifying blocks: 18 %)")
        progress.end()
    os.close(ours)


def test_one_that_is_stopping_says_so(daemon, bitcoin_mp) -> None:
    daemon.start()
    daemon.supervisor.stopping = True
    done = bitcoin_mp("status")
    assert (done.returncode, "Active: deactivating (stopping) since" in done.stdout) == (3, True)
