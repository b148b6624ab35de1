"""Whatever becomes of bitcoin.conf, a worker that is started again has what the supervisor goes by."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcError

REFUSED = "the configuration stays as it was"


def write(supervisor: Any, text: str, name: str = "bitcoin.conf") -> None:
    (supervisor.datadir / name).write_text(text)


def handed(supervisor: Any, unit: str = "node") -> list[str]:
    """The texts that the unit's process was handed."""
    return list(supervisor.worker(unit, "configuration").values())


def killed(supervisor: Any, unit: str = "node") -> None:
    old = supervisor.pid(unit)
    os.kill(old, signal.SIGKILL)
    supervisor.wait_new(unit, old)


def reload(supervisor: Any, until: Callable[..., Any], outcome: str) -> None:
    before = supervisor.log("supervisor").count(outcome)
    supervisor.process.send_signal(signal.SIGHUP)
    until(lambda: supervisor.log("supervisor").count(outcome) > before, outcome)


@pytest.mark.parametrize("supervisor", ["", "forked"], indirect=True)
def test_a_process_that_is_started_again_has_what_was_accepted(supervisor: Any, until: Callable[..., Any]) -> None:
    more = "keypool=7\n"
    write(supervisor, more, "more.conf")
    write(supervisor, good := "includeconf=more.conf\n[regtest]\nmaxrss=node:1000\n")
    supervisor.start("-restartdelay=0")
    path = str(supervisor.datadir / "bitcoin.conf")
    assert supervisor.worker("node", "configuration") == {path: good, "more.conf": more}
    for bad in (
        "nonsense=1\n",
        "regtest=1\nwalletprocess=each\n",
        "regtest=0\nsignet=1\n",
        "debug=nothing\n",
        "[regtest]\nbind=nowhere\n",
    ):
        write(supervisor, bad)
        killed(supervisor)
        assert handed(supervisor) == [good, more], "it was edited, and not reloaded"
        reload(supervisor, until, REFUSED)
        killed(supervisor)
        assert handed(supervisor) == [good, more], f"{bad!r} was refused"
    (supervisor.datadir / "more.conf").unlink()
    (supervisor.datadir / "bitcoin.conf").unlink()
    killed(supervisor, "wallet")
    assert handed(supervisor, "wallet") == [good, more]
    write(supervisor, better := "keypool=8\n")
    reload(supervisor, until, "the configuration was read again")
    assert handed(supervisor, "wallet") == [good, more], "it runs on with what it has"
    killed(supervisor, "wallet")
    assert handed(supervisor, "wallet") == [better]
    assert supervisor.stop() == 0


def test_a_person_who_restarts_a_unit_has_what_the_file_says_now_or_is_told_why_not(supervisor: Any) -> None:
    write(supervisor, good := "keypool=7\n")
    supervisor.start()
    pid = supervisor.pid("wallet")
    for bad, why in ("keypool=seven\n", "keypool=seven"), ("maxmempool=1\n", "-maxmempool must be at least 5 MB"):
        write(supervisor, bad)
        for word in ("restart", "start"):
            with pytest.raises(RpcError, match=rf"Nothing was started or stopped: bitcoin\.conf has changed.*{why}"):
                supervisor.ask(word, "wallet")
    assert (supervisor.pid("wallet"), handed(supervisor, "wallet")) == (pid, [good])
    write(supervisor, better := "keypool=9\n")
    assert supervisor.ask("restart", "wallet")["pid"] != pid
    assert handed(supervisor, "wallet") == [better]
    assert handed(supervisor) == [good], "the other runs on with what it has"
    supervisor.ask("restart", "node")
    assert handed(supervisor) == [better]


def test_no_worker_can_change_what_the_next_one_gets(supervisor: Any) -> None:
    write(supervisor, "keypool=7\n")
    supervisor.start()
    assert supervisor.worker("node", "spoil") == ["Operation not permitted"] * 4
    killed(supervisor)
    assert handed(supervisor) == ["keypool=7\n"]
    assert supervisor.stop() == 0


def test_there_need_be_no_file(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start()
    write(supervisor, "nonsense=1\n")
    killed(supervisor)
    assert handed(supervisor) == []
    write(supervisor, "keypool=7\n")
    reload(supervisor, until, "the configuration was read again")
    killed(supervisor)
    assert handed(supervisor) == ["keypool=7\n"]
    assert supervisor.stop() == 0


def test_a_new_program_reads_it_anew(supervisor: Any) -> None:
    write(supervisor, "keypool=7\n")
    supervisor.start()
    write(supervisor, "keypool=8\n")
    supervisor.ask("upgrade")
    supervisor.ask("upgraded")
    assert handed(supervisor) == handed(supervisor, "wallet") == ["keypool=8\n"]
    assert supervisor.stop() == 0


def test_no_new_program_is_begun_with_what_a_unit_could_not_start_with(supervisor: Any) -> None:
    write(supervisor, "keypool=7\n")
    supervisor.start()
    pids = {name: supervisor.pid(name) for name in ("node", "wallet")}
    write(supervisor, "maxmempool=1\n")
    with pytest.raises(
        RpcError, match=r"does not start: Error: -maxmempool must be at least 5 MB\. Nothing was changed"
    ):
        supervisor.ask("upgrade")
    assert {name: supervisor.pid(name) for name in pids} == pids
    assert supervisor.stop() == 0


def test_a_configuration_is_checked_without_a_start(supervisor: Any) -> None:
    for text, status, says in (
        ("keypool=7\n", 0, "The configuration can be used.\n"),
        ("keypool=seven\n", 78, "keypool=seven"),
        ("debug=nothing\n", 78, "Error: Unsupported logging category -debug=nothing\n"),
        ("[regtest]\nbind=nowhere\n", 78, "Error: Cannot resolve -bind address: 'nowhere'\n"),
        ("[regtest]\nwalletdir=/no/such/place\n", 78, 'Error: Specified -walletdir "/no/such/place" does not exist\n'),
        ("disablewallet=1\n[regtest]\nwalletdir=/no/such/place\n", 0, "The configuration can be used.\n"),
        ("signerprocess=1\nsignerallow=me\n", 78, "Error: -signerallow=me is no address of the regtest chain.\n"),
    ):
        write(supervisor, text)
        done = supervisor.once("-checkconfig")
        assert (done.returncode, (done.stderr or done.stdout).count(says)) == (status, 1), (text, done)
        assert len((done.stdout + done.stderr).splitlines()) == 1
    assert [path.name for path in supervisor.datadir.iterdir()] == ["bitcoin.conf"], "nothing was made"


def test_one_that_outlived_its_supervisor_keeps_what_it_has(supervisor: Any) -> None:
    write(supervisor, "keypool=7\n")
    supervisor.start("-adopt")
    node = supervisor.pid("node")
    (supervisor.network / "node.lock").write_text(f"{node}\n")  # what a real one does
    supervisor.process.kill()
    supervisor.process.communicate()
    write(supervisor, "keypool=8\n")
    supervisor.start("-adopt")
    assert supervisor.pid("node") == node
    assert handed(supervisor) == ["keypool=7\n"]
    killed(supervisor)
    assert handed(supervisor) == ["keypool=8\n"]
    assert supervisor.stop() == 0


def test_a_file_that_can_t_be_used_is_told_before_it_matters(supervisor: Any, until: Callable[..., Any]) -> None:
    write(supervisor, "keypool=7\n")
    supervisor.start("-healthinterval=0.2")
    until(lambda: supervisor.ask("health")["state"] == "ok")
    write(supervisor, "keypool=8\n")
    assert supervisor.ask("health")["problems"] == [], "it would do"
    write(supervisor, "maxmempool=banana\n")
    (alert,) = until(lambda: supervisor.ask("events")["alerts"], "an alert, though nobody asks")
    assert alert["source"] == "supervisor"
    assert "bitcoin.conf can't be used: Invalid value in " in alert["text"]
    assert "bitcoin.conf line 1: maxmempool=banana: expected a number" in alert["text"]
    found = supervisor.ask("health")
    assert (found["state"], found["exit"], found["problems"]) == ("degraded", 1, [alert["text"]])
    assert supervisor.status()["supervisor"]["problems"] == [alert["text"]]
    reload(supervisor, until, REFUSED)
    assert supervisor.ask("health")["state"] == "degraded"
    write(supervisor, "maxmempool=1\n")
    until(lambda: "-maxmempool must be at least 5 MB" in supervisor.ask("health")["problems"][0], "what the node finds")
    write(supervisor, "maxmempool=7\n")
    until(lambda: not supervisor.ask("events")["alerts"], "it to be over")
    assert supervisor.ask("health")["state"] == "ok"
    assert supervisor.log("supervisor").count("bitcoin.conf can't be used") == 1
    assert supervisor.log("supervisor").count("over: the configuration files can be used again") == 1
    assert supervisor.stop() == 0
