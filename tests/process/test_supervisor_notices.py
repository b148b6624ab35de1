"""Commands and followers of what happens, with children that do nothing but fail: units, alerts, the start, the end."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_each_change_of_a_unit_runs_a_command_in_order(supervisor: Any, until: Callable[..., Any]) -> None:
    told = supervisor.directory / "told"
    supervisor.start(f"-unitnotify=echo %u %o %s %c %m >> {told}", "-restartdelay=0.05", "-restart=node:on-failure")
    os.kill(supervisor.pid("node"), signal.SIGKILL)
    until(lambda: "node starting running none ''".replace("''", "") in lines(told)[4:], "the node's return")
    supervisor.ask("stop", "wallet")
    node = [line.rstrip() for line in lines(told) if line.startswith("node")]
    assert node[0] == "node stopped starting none"
    assert node[1] == "node starting running none"
    assert node[2] == "node running starting killed killed by SIGKILL"
    assert node[3] == "node starting running none"
    until(lambda: "wallet stopping stopped none exit status 0" in lines(told), "the wallet's end")
    assert supervisor.stop() == 0
    assert lines(told)[-1] == "node stopping stopped none exit status 0", "the last is run before the supervisor ends"


def test_alerts_run_a_command_when_they_begin(supervisor: Any, until: Callable[..., Any]) -> None:
    told = supervisor.directory / "told"
    supervisor.plan("wallet", exit=65, say="[error] -fee=$(reboot): no number; rm -rf `x`")
    supervisor.start(f"-alertnotify=echo %s >> {told}", "-mindiskfree=999999999", ready=False)
    supervisor.wait_state("wallet", "failed")
    found = until(lambda: lines(told) if len(lines(told)) == 2 else None, "both alerts")
    assert any(line.startswith("The wallet has failed: ") and "-fee=" not in line for line in found)
    assert any("MiB free in" in line for line in found)
    assert not {*"$`;"} & {*"".join(found)}
    alerts = supervisor.ask("events")["alerts"]
    assert [alert["source"] for alert in alerts] == ["supervisor", "wallet"]
    supervisor.plan("wallet")
    supervisor.ask("start", "wallet")
    assert [alert["source"] for alert in supervisor.ask("events")["alerts"]] == ["supervisor"]
    assert supervisor.stop() == 0
    assert len(lines(told)) == 2


def test_a_unit_that_is_unwell_is_an_alert_until_it_is_well(supervisor: Any) -> None:
    supervisor.start("-maxrss=node:1")
    supervisor.ask("health")
    (alert,) = supervisor.ask("events")["alerts"]
    assert alert["source"] == "node"
    assert alert["text"].startswith("The node: holds ")
    supervisor.worker("wallet", "problems", "can't find its keys")
    supervisor.ask("health")
    assert {"source": "wallet", "text": "The wallet: can't find its keys"} in supervisor.ask("events")["alerts"]
    supervisor.worker("wallet", "problems")
    supervisor.ask("health")
    assert len(supervisor.ask("events")["alerts"]) == 1
    assert supervisor.ask("events")["kinds"]["alert"] == 3
    supervisor.ask("stop", "node")
    assert supervisor.ask("events")["alerts"] == []
    assert supervisor.stop() == 0


def test_the_start_and_the_end(supervisor: Any, until: Callable[..., Any]) -> None:
    told = supervisor.directory / "told"
    ends = [f"-shutdownnotify=ps -e -o pid= > {told}-{n}" for n in (1, 2)]
    supervisor.start(f"-startupnotify=echo up >> {told}", *ends)
    until(lambda: lines(told) == ["up"], "the start's command")
    node = supervisor.pid("node")
    supervisor.ask("restart", "node")
    node = supervisor.pid("node")
    assert supervisor.stop() == 0
    assert lines(told) == ["up"], "once, and not at a restart"
    for n in (1, 2):
        assert str(node) in Path(f"{told}-{n}").read_text().split(), "it ran, and so did the node"


def test_a_command_that_hangs_holds_up_nothing(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start("-unitnotify=sleep 1000", "-notifytimeout=0")
    for _ in range(3):
        assert supervisor.ask("restart", "node")["state"] == "running"
    (found,) = supervisor.ask("events")["commands"]
    assert (found["option"], found["run"]) == ("unitnotify", 1)
    assert found["waiting"] > 5
    assert supervisor.stop() == 0
    assert "-unitnotify: the command is killed, since we end: sleep 1000" in supervisor.log("supervisor")
    assert not [pid for pid in sleepers() if pid], "nothing of it is left"


def sleepers() -> list[int]:
    """Processes that run that command."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes() == b"sleep\x001000\x00":
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                found.append(int(entry.name) if parent == 1 else 0)
        except OSError:
            continue
    return found


def test_commands_change_with_the_configuration(supervisor: Any, until: Callable[..., Any]) -> None:
    told = supervisor.directory / "told"
    configuration = supervisor.datadir / "bitcoin.conf"
    configuration.write_text("[regtest]\nunitnotify=exit 7\n")
    supervisor.start()
    until(lambda: "-unitnotify: the command ended with exit status 7: exit 7" in supervisor.log("supervisor"))
    configuration.write_text(f"[regtest]\nunitnotify=echo %u %s >> {told}\n")
    supervisor.process.send_signal(signal.SIGHUP)
    until(lambda: "node reloading" in lines(told) or "node running" in lines(told))
    supervisor.ask("restart", "wallet")
    until(lambda: "wallet running" in lines(told))
    assert supervisor.stop() == 0


def test_followers_are_told_and_may_leave(supervisor: Any, listen: Callable[..., Any]) -> None:
    supervisor.start()
    listener = listen("notices.follow", ["unit"], 1)
    listener.answered()
    supervisor.ask("restart", "node")
    states = []
    while not states or states[-1][1] != "running":
        (notice,) = listener.told("event")
        assert (notice["kind"], notice["unit"]) == ("unit", "node")
        states.append((notice["before"], notice["state"]))
    assert states == [("running", "stopping"), ("stopping", "starting"), ("starting", "running")]
    listener.close()
    assert supervisor.ask("restart", "wallet")["state"] == "running"
    assert supervisor.ask("events")["kinds"]["unit"] >= 10
    assert supervisor.stop() == 0


def test_it_goes_on_through_an_upgrade(supervisor: Any, until: Callable[..., Any]) -> None:
    told = supervisor.directory / "told"
    supervisor.start(f"-unitnotify=echo %u %s >> {told}", f"-startupnotify=echo up >> {told}")
    until(lambda: "up" in lines(told))
    supervisor.ask("upgrade")
    supervisor.ask("upgraded")
    until(lambda: lines(told).count("node running") == lines(told).count("wallet running") == 2)
    assert lines(told).count("up") == 1
    assert supervisor.stop() == 0
    assert json.dumps(lines(told)[-1]) == '"node stopped"'
