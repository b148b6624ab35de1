"""The shell driven on a pseudo-terminal, against servers on sockets."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROMPT = "regtest>"


def units(state: str, reason: str = "") -> dict[str, object]:
    """What the topic of that name tells, all being so."""
    rest = {"state": state, "health": "ok", "reason": reason, "status": ""}
    return {"units": [{"name": name, **rest} for name in ("node", "wallet")]}


def history(tmp_path: Path) -> Path:
    return tmp_path / ".local/state/bitcoind-mp/history-regtest"


def test_a_prompt_a_toolbar_a_result_and_leaving(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    for part in ("● node  ● wallet", "alice 50.00000000 BTC", "mempool 3"):  # each comes when it is there
        screen = terminal.sees(part)
    assert "bitcoin-mp 0.1.0 on regtest. Tab completes, help lists commands, Ctrl-D leaves." in screen
    assert screen.split("\n")[-1] == (
        " regtest │ height 112, 2 peers │ mempool 3 │ alice 50.00000000 BTC │ ● node  ● wallet"
    )
    terminal.type("getblockstats 7\r")
    assert '\n{\n  "got": 7,\n' in terminal.sees('"stats": null\n}')
    terminal.type("getblockhash 999\r")
    terminal.sees("error code: -8\nerror message:\nBlock height out of range")
    terminal.type("\x04")
    assert terminal.wait() == 0


def test_what_happens_elsewhere_changes_the_screen(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees("height 112, 2 peers")
    daemon.tip(113)
    terminal.sees("height 113, 2 peers")
    daemon.balance(alice=150_000_000, bob=1)
    terminal.sees("2 wallets")
    daemon.publish("supervisor", "unit", {"units": [{"name": "node", "state": "backoff", "health": "failed"}]})
    terminal.sees("● node backoff")


def test_nothing_crosses_any_socket_while_nobody_does_anything(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees("● node  ● wallet")
    terminal.sees("alice 50.00000000 BTC")
    while terminal.read(1.0):
        pass
    quiet_since = time.monotonic()
    assert not terminal.read(30.0), "the screen was drawn anew"
    assert daemon.heard() < quiet_since
    assert len([role for role in ("supervisor", "node", "wallet") if daemon.connections(role) == 1]) == 3


def test_ctrl_c_cancels_the_call_and_not_the_shell(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees(PROMPT)
    terminal.type("waitforblock\r")
    terminal.sees("waiting for a block")
    terminal.type("\x03")
    terminal.sees("Cancelled.")
    assert daemon.node.cancelled.wait(20)
    terminal.type("getblockcount\r")
    terminal.sees("\n112\n")
    terminal.type("half a line\x03")
    terminal.type("uptime\r")
    terminal.sees("\n7\n")


def test_ctrl_c_ends_a_scan_that_would_go_on_without_its_caller(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees("● node  ● wallet")
    terminal.type("rescanblockchain\r")
    assert daemon.wallet.scanning.wait(20)
    terminal.type("\x03")
    terminal.sees("Cancelled.")
    assert daemon.wallet.aborted.wait(20)


def test_a_node_that_dies_in_mid_call_is_asked_again_once_it_is_back(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees(PROMPT)
    terminal.type("waitforheight 113\r")
    assert daemon.node.started.wait(20)
    daemon.kill_and_restart("node")
    daemon.node.height = 113
    terminal.sees("\n113\n")
    assert daemon.node.calls == [("waitforheight", 113)] * 2


def test_a_call_that_a_restart_cancelled_is_asked_again(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees(PROMPT)
    terminal.type("waitforheight 113\r")
    assert daemon.node.started.wait(20)
    daemon.replace("node", killed=False)
    daemon.node.height = 113
    terminal.sees("\n113\n")
    assert daemon.node.calls == [("waitforheight", 113)] * 2


def test_a_call_that_changes_something_is_never_made_twice(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees(PROMPT)
    terminal.type("mine\r")
    assert daemon.node.started.wait(20)
    daemon.kill_and_restart("node")
    terminal.sees("Whether it took effect is unknown.")
    terminal.type("getblockcount\r")
    terminal.sees("\n112\n")


def test_the_supervisor_may_come_and_go(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees("● node  ● wallet")
    daemon.stop("supervisor")
    terminal.sees("no supervisor")
    terminal.type("getblockcount\r")
    terminal.sees("\n112\n")
    daemon.start("supervisor")
    terminal.sees("no supervisor", gone=True)
    terminal.sees("● node  ● wallet")


def test_a_unit_at_rest_is_left_alone_until_it_is_started(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees("● node  ● wallet")
    units = [{"name": "node", "state": "running", "health": "ok"}, {"name": "wallet", "state": "stopped"}]
    daemon.publish("supervisor", "unit", {"units": units})
    terminal.sees("○ wallet stopped")
    terminal.until(lambda _: daemon.connections("wallet") == 0, "the connection to the wallet end")
    terminal.type("getbalance\r")
    terminal.sees("The wallet is stopped. Start it with: start wallet")
    daemon.publish("supervisor", "unit", {"units": [{**unit, "state": "running"} for unit in units]})
    terminal.sees("● wallet")
    terminal.type("getbalance\r")
    terminal.sees("\n0.00001000\n")


def test_a_worker_alone(daemon, shell) -> None:
    daemon.lively()
    daemon.stop("supervisor", "wallet")
    terminal = shell()
    terminal.sees("● node")
    terminal.type("getblockcount\r")
    terminal.sees("\n112\n")


def test_an_open_bracket_or_quote_goes_on_with_the_next_line(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees(PROMPT)
    terminal.type('send [{"a":\r1}\r]\r')
    assert terminal.sees('"options": null\n}').count("\n       .") == 2
    terminal.type("getnewaddress 'my\rlabel'\r")
    terminal.sees("address(my\n")


def test_tab_completes_from_live_data(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees("alice 50.00000000 BTC")
    terminal.type("getblockcou\t")
    terminal.sees("regtest> getblockcount")
    terminal.type("\x15use a\t")
    terminal.sees("regtest> use alice")
    terminal.type("\r")
    terminal.sees("regtest alice>")
    terminal.type("help getb\t")
    terminal.sees("getbalances")
    terminal.type("\x15use nobody\r")
    terminal.sees("error: no wallet named nobody is loaded (loaded: alice). Load it with: loadwallet nobody")


def test_a_passphrase_is_asked_for_and_shown_nowhere(daemon, shell, tmp_path: Path) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees(PROMPT)
    terminal.type("walletpassphrase\r")
    terminal.sees("passphrase:")
    terminal.type("s3cret\r")
    terminal.sees("timeout:")
    terminal.type("60\r")
    terminal.until(lambda _: bool(daemon.wallet.passphrases), "the call")
    terminal.type("walletpassphrase 0therSecret 60\r")
    terminal.until(lambda _: len(daemon.wallet.passphrases) == 2, "the second call")
    terminal.type("walletpasphrase thirdSecret 60\r")
    terminal.sees("Method not found: walletpasphrase")
    terminal.type("getblockcount\r")
    terminal.sees("\n112\n")
    terminal.type("\x04")
    assert terminal.wait() == 0
    assert daemon.wallet.passphrases == ["s3cret", "0therSecret"]
    assert "s3cret" not in terminal.output
    assert history(tmp_path).read_text() == "walletpassphrase\ngetblockcount\n"
    assert stat.S_IMODE(history(tmp_path).stat().st_mode) == 0o600


def test_a_passphrase_that_is_not_given_is_not_sent(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees(PROMPT)
    terminal.type("walletpassphrase\r")
    terminal.sees("passphrase:")
    terminal.type("x\x03")
    terminal.type("getblockcount\r")
    terminal.sees("\n112\n")
    assert daemon.wallet.passphrases == []


def test_two_lines_that_are_pasted_are_two_commands(daemon, shell, tmp_path: Path) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees(PROMPT)
    terminal.type("\x1b[200~getblockcount\nwalletpassphrase s3cret 60\nuptime\n\x1b[201~\r")
    terminal.sees("\n112\n7\n")
    assert daemon.wallet.passphrases == ["s3cret"]
    assert history(tmp_path).read_text() == "getblockcount\nuptime\n"


def test_generate(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees(PROMPT)
    terminal.type("-generate 2 7\r")
    terminal.sees('"address": "address()",\n  "blocks": [\n    "address():0:7",\n    "address():1:7"\n  ]\n}')
    terminal.type("-generate 0\r")
    terminal.sees("error: the first argument (number of blocks to generate, default: 1)")


def test_what_is_typed_ahead_stays_as_it_was_typed(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees(PROMPT)
    terminal.type("getblockhash 7\rwaitforheight 113\r")
    assert daemon.node.started.wait(20)
    terminal.type("getblockhash\rgetblockh\ruptime\r")
    daemon.node.height = 113
    screen = terminal.sees("\n7\n")
    typed = [line for line in screen.split("\n") if line.startswith(PROMPT)]
    assert typed[:5] == [
        f"{PROMPT} {x}" for x in ("getblockhash 7", "waitforheight 113", "getblockhash", "getblockh", "uptime")
    ]


def test_a_wallet_made_a_moment_ago_can_be_used(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees("alice 50.00000000 BTC")
    daemon.wallet.loaded = ["alice", "new"]  # and nobody has been told yet
    terminal.type("use new\r")
    terminal.sees("regtest new>")


def test_a_command_waits_for_nobody_who_will_not_come(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees("● node  ● wallet")
    terminal.type("waitforheight 113\r")
    assert daemon.node.started.wait(20)
    daemon.sever("node")
    daemon.stop("node")
    terminal.sees("waiting for the node…")
    daemon.stop("supervisor")
    terminal.sees("The node is not running, and no supervisor is there to start it again")
    terminal.sees("no supervisor")


def test_a_command_stops_waiting_for_a_unit_that_comes_to_rest(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees("● node  ● wallet")
    terminal.type("waitforheight 113\r")
    assert daemon.node.started.wait(20)
    daemon.sever("node")
    daemon.stop("node")
    terminal.sees("waiting for the node…")
    daemon.publish(
        "supervisor", "unit", {"units": [{"name": "node", "state": "failed"}, {"name": "wallet", "state": "running"}]}
    )
    terminal.sees("The node is failed. Start it with: start node (see: logs node)")
    terminal.sees("× node failed")


def test_after_a_kill_under_a_waiting_read_the_screen_is_whole_again(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees("● node  ● wallet")
    terminal.type("waitforblock\r")
    assert daemon.node.started.wait(20)
    daemon.node.started.clear()
    daemon.kill_and_restart("node")
    assert daemon.node.started.wait(20)
    terminal.sees("waiting for the node…", gone=True)
    terminal.type("\x03")
    terminal.sees("Cancelled.")
    terminal.sees("● node  ● wallet")


def test_history_lasts_over_sessions(daemon, shell) -> None:
    daemon.lively()
    first = shell()
    first.sees(PROMPT)
    first.type("getblockstats \\\r7\r")
    first.sees('"got": 7')
    first.type("exit\r")
    assert first.wait() == 0
    second = shell()
    second.sees(PROMPT)
    second.type("\x1b[A\x1b[A\x1b[A\r")
    second.sees('"got": 7')


def test_watch_shows_anew_what_changed(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees(PROMPT)
    terminal.type("watch getblockcount\r")
    terminal.sees(" getblockcount   shown anew at each change; q leaves\n\n112\n")
    daemon.node.height = 200
    daemon.tip(200)
    terminal.sees("\n200\n")
    while terminal.read(0.5):
        pass
    calls = len(daemon.node.calls)
    assert not terminal.read(2.0)
    assert len(daemon.node.calls) == calls, "it polls"
    terminal.type("q")
    terminal.sees("watch getblockcount\n200\n")
    terminal.type("watch send x\r")
    terminal.sees("error: send changes something: it is not to be run again and again")
    terminal.type("watch status -x\r")
    terminal.sees("error: status: unknown option -x: expected -n LINES")
    terminal.type("q")


def test_status_and_logs_inside(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees(PROMPT)
    terminal.type("status wallet\r")
    terminal.sees("● wallet - keys and coins")
    terminal.type("clear\r")
    terminal.type("logs node -f\r")
    terminal.sees("\nfirst\nsecond\n")
    terminal.type("\x03")
    terminal.type("clear\r")
    terminal.type("events tip alert\r")
    terminal.sees("alert       over: The node has failed")
    terminal.type("\x03")
    terminal.type("events nonsense\r")
    terminal.sees("error: events: unexpected 'nonsense'")
    terminal.type("health\r")
    terminal.sees("OK: node running, wallet running")
    terminal.type("status wallet node\r")
    terminal.sees("● node - chain")
    terminal.type("stop node wallet\r")
    terminal.sees("\nnode: stopped\nwallet: stopped\n")
    terminal.type("start\r")
    terminal.sees("error: start: which unit? Expected node or wallet (or signer, with -signerprocess), or several")
    terminal.type("-json stop wallet\r")
    terminal.sees('"state": "stopped"')
    terminal.type("clear\r")
    terminal.type("stop wallet -json\r")
    terminal.sees('"state": "stopped"')


def test_help(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees(PROMPT)
    terminal.type("help watch\r")
    terminal.sees("watch command ( parameters )\n\nRun a command again whenever what it shows may have changed.")
    terminal.type("help\r")
    terminal.sees("== Shell ==\nhelp    List all commands")


@pytest.mark.parametrize("arguments", [[], ["help", "uptime"]])
def test_help_is_broken_between_words_on_a_terminal(daemon, shell, arguments: list[str]) -> None:
    daemon.lively()
    terminal = shell(*arguments)
    if not arguments:
        terminal.sees(PROMPT)
        terminal.type("help uptime\r")
    terminal.sees(
        "\nSeconds up, that is how long the supervisor has been here: since its start, and not since its units\n"
        "  began."
    )


def test_without_a_daemon_nothing_is_started_unasked(daemon, shell, tmp_path: Path) -> None:
    terminal = shell()
    terminal.sees("Start a private supervisor, which ends with this shell? [Y/n]")
    terminal.type("n\r")
    assert terminal.wait() == 1
    assert "nobody listens at" in terminal.output
    required = shell("-ipcconnect=unix")
    assert required.wait() == 1
    assert "Start a private" not in required.output
    assert list(daemon.run.iterdir()) == []


def test_a_shell_that_is_ended_leaves_the_terminal_as_it_was(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees(PROMPT)
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.wait() == 143
    assert "\x1b[?2004l" in terminal.output


def test_lines_from_a_pipe(daemon) -> None:
    daemon.lively()
    command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}"]
    lines = 'use alice\ngetbalance\nsend {"a": 1}\ngetblockhash 999\nwalletpassphrase\nuptime\nexit\nuptime\n'
    done = subprocess.run(command_line, cwd=ROOT, input=lines, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1  # one of them went wrong
    assert done.stdout == '0.00001000\n{\n  "outputs": {\n    "a": 1\n  },\n  "options": null\n}\n7\n'
    assert done.stderr == "error code: -8\nerror message:\nBlock height out of range\n"


def test_lines_from_a_pipe_are_utf_8_whatever_the_locale_says(daemon) -> None:
    daemon.lively()
    command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}"]
    plain = {**os.environ, "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    lines = "status\nhelp ü\n".encode()
    done = subprocess.run(command_line, cwd=ROOT, env=plain, input=lines, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith("● bitcoind-mp".encode())
    assert done.stdout.endswith("help: unknown command: ü\n".encode())


def test_no_answer_plays_with_the_terminal_and_through_a_pipe_it_is_as_it_is(daemon, shell) -> None:
    daemon.lively()
    evil = "\x1b]0;owned\x07\x9b2J"
    command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}"]
    line = f"echo '{json.dumps(evil)}'\n"
    done = subprocess.run(command_line, cwd=ROOT, input=line, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, f"{evil}\n")
    terminal = shell()
    terminal.sees(PROMPT)
    terminal.type(line.replace("\n", "\r"))
    terminal.sees("\ufffd]0;owned\ufffd\ufffd2J")


def test_of_lines_from_a_pipe_none_is_carried_out_once_nobody_reads_the_answers(daemon) -> None:
    daemon.lively()
    command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = subprocess.Popen(command_line, cwd=ROOT, text=True, **pipes)
    assert running.stdin is not None and running.stdout is not None and running.stderr is not None
    running.stdout.close()
    running.stdin.write("uptime\nwalletpassphrase secret 60\n")
    running.stdin.close()
    assert running.stderr.read() == ""
    assert running.wait(30) == 1
    running.stderr.close()
    assert daemon.wallet.passphrases == []


@pytest.mark.parametrize("arguments", [[], ["-ipcconnect=unix"], ["-ipcconnect=0"]])
def test_lines_from_a_pipe_start_nothing(daemon, arguments: list[str]) -> None:
    command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}", *arguments]
    done = subprocess.run(
        command_line, cwd=ROOT, input="uptime\n", capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "nobody listens at" in done.stderr


def test_the_wallet_of_the_command_line_is_the_one_that_is_asked(daemon, shell) -> None:
    daemon.wallet.loaded = ["alice", "bob"]
    daemon.lively()
    terminal = shell("-rpcwallet=bob")
    terminal.sees("regtest bob>")
    terminal.type("getwalletinfo\r")
    terminal.sees('"walletname": "bob"')


def test_a_command_that_a_torn_table_hides_is_not_called_unknown(daemon, shell) -> None:
    daemon.lively()
    terminal = shell()
    terminal.sees("● node  ● wallet")
    table = daemon.run / "wallet.json"
    whole = table.read_bytes()
    table.write_bytes(whole[:100])
    terminal.type("getbalance\r")
    terminal.sees("getbalance is not known to what runs, and the commands of the wallet can't be read just now")
    terminal.type("nonsense\r")
    terminal.sees("nonsense is not known to what runs")
    table.write_bytes(whole)
    terminal.type("getbalance\r")
    terminal.sees("\n0.00001000\n")
    terminal.type("nonsense\r")
    terminal.sees("Method not found: nonsense")


def test_a_shell_started_with_the_daemon_waits_for_what_comes_up_for_the_first_time(daemon, shell) -> None:
    daemon.start("supervisor")
    daemon.bind("node")
    daemon.bind("wallet")
    daemon.publish("supervisor", "unit", units("starting"))
    terminal = shell()
    terminal.sees(PROMPT)
    terminal.type("getblockcount\r")
    terminal.sees("waiting for the node…")
    daemon.start("node")
    daemon.start("wallet")
    daemon.publish("supervisor", "unit", units("running"))
    terminal.sees("\n112\n")


def test_a_command_that_waits_tells_a_person_for_what(daemon, shell) -> None:
    """The node is in back-off, say: nothing would be on the terminal for as long as the call may take."""
    daemon.start("supervisor", "node")
    daemon.publish("supervisor", "unit", units("running"))
    daemon.let_go("node")
    terminal = shell("getblockcount")
    terminal.sees("Waiting for the node's answer… Ctrl-C cancels.")
    daemon.publish("supervisor", "unit", units("backoff", "no \x1b[31mroom"))
    terminal.sees("Waiting for the node (backoff: no \N{REPLACEMENT CHARACTER}[31mroom)… Ctrl-C cancels.")
    daemon.start("node")
    terminal.sees("112")
    assert terminal.wait() == 0
    assert terminal.screen().split() == ["112"]


def test_a_supervisor_that_is_stopping_is_not_attached_to(daemon, shell) -> None:
    daemon.lively()
    daemon.supervisor.stopping = True
    terminal = shell()
    terminal.sees("The supervisor is stopping…")
    daemon.stop("wallet", "node", "supervisor")  # in a supervisor's order
    terminal.sees("Start a private supervisor, which ends with this shell? [Y/n]")
    assert PROMPT not in terminal.screen()
