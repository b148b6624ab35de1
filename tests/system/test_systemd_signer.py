"""The signer, and the limits on what workers use, under ``bitcoind-mp.service``, whose ProtectProc= hides all processes
from each other."""

import errno
import json
import re
import socket
from typing import Any

import pytest
from harness import wait_until
from systemd_container import ACCOUNT, DATA, PATIENCE, PREFIX, Container
from systemd_service import SERVICE, unit

PASSPHRASE = "correct horse battery staple"
FRONT_END = (str(PREFIX / "bin" / "bitcoin-mp"), "-conf=/etc/bitcoind-mp/bitcoin.conf", f"-datadir={DATA}")
#: How an administrator may come to act as the account, or not at all.
OWNERS = {
    "runuser": ("runuser", "-u", ACCOUNT, "--"),
    "root": (),
    "systemd-run": ("systemd-run", "--quiet", "--pipe", "--wait", f"--uid={ACCOUNT}"),
}
#: What the supervisor runs when it has come up: asks the signer, and notes what it was told.
HOOK = f"{' '.join(FRONT_END)} getsignerinfo >{DATA}/hook 2>&1; echo $? >>{DATA}/hook"
#: Limits that nobody keeps; and a health check that one which hangs fails at once.
LIMITS = ("maxrss=node:20", "maxrss=wallet:21", "maxcpu=wallet:90000", "healthinterval=1", "healthtimeout=2")
#: Code of an intruder's in the wallet's process: a command that tells what the signer answers it.
INTRUDER = '''

from bitcoind_mp.interfaces.command import command
from bitcoind_mp.wallet import service


class Intruder:
    @command("control", hidden=True)
    def intrude(self, socket: str) -> str:
        """Asks.

        Args:
            socket: Whom

        Returns:
            The answer
        """
        from bitcoind_mp.ipc.wire.blocking import call

        try:
            return str(call(socket, "getsignerinfo"))
        except Exception as error:
            return str(error)


class Entered(service.WalletService):
    async def start(self, host):
        await super().start(host)
        self._server.add(Intruder())


service.WalletService = Entered
'''


@pytest.fixture
def running(machine: Container) -> Container:
    """The service, up, with a signer."""
    if machine.properties(SERVICE)["ActiveState"] != "active":
        (file,) = machine.path(PREFIX).glob("lib/python*/site-packages/bitcoind_mp/wallet/preload.py")
        file.write_text(file.read_text() + INTRUDER)
        machine.configure("signerprocess=1", f"startupnotify={HOOK}", *LIMITS, "metrics=unix:run/metrics.sock")
        machine.systemctl("start", SERVICE)
    return machine


def answer(machine: Container, *words: str, of: str = "runuser") -> Any:
    return json.loads(machine.run(*OWNERS[of], *FRONT_END, *words).stdout)


@pytest.mark.parametrize("of", sorted(OWNERS))
def test_the_owner_is_answered_however_he_comes(running: Container, of: str) -> None:
    assert answer(running, "getsignerinfo", of=of)["chain"] == "regtest"
    name = f"by-{of}"
    answer(running, "-named", "createwallet", f"wallet_name={name}", f"passphrase={PASSPHRASE}", of=of)
    assert answer(running, f"-rpcwallet={name}", "getwalletinfo")["external_signer"] is True
    running.run(*OWNERS[of], *FRONT_END, f"-rpcwallet={name}", "walletpassphrase", PASSPHRASE, "60")
    unlocked = {each["wallet"]: each["unlocked"] for each in answer(running, "getsignerinfo", of=of)["keysets"]}
    assert unlocked[name]


def test_a_command_that_the_supervisor_runs_is_no_owner(running: Container) -> None:
    place = running.path(DATA / "hook")
    wait_until("the command has ended", lambda: place.exists() and place.read_text().endswith("\n89\n"), PATIENCE)
    assert "the signer answers its owner alone" in place.read_text()


def test_a_wallet_s_process_is_no_owner(running: Container) -> None:
    """It can't so much as call: it makes no socket."""
    told = running.patiently(lambda: running.call("wallet.sock", "intrude", str(DATA / "regtest/run/signer.sock")))
    assert told.startswith(f"[Errno {errno.EAFNOSUPPORT}]")


def test_limits_are_watched_and_figures_are_told(running: Container) -> None:
    problems = running.call("supervisor.sock", "health")["problems"]
    for name, limit in (("node", 20), ("wallet", 21)):
        assert any(re.fullmatch(f"{name}: holds [0-9]+ MiB of memory, limit {limit}", each) for each in problems)
    for name in ("node", "wallet", "signer"):
        wait_until("two checks", lambda name=name: unit(running, name)["cpu_percent"] is not None, PATIENCE)
        found, status = unit(running, name), running.path(f"/proc/{unit(running, name)['pid']}/status").read_text()
        resident = int(status.partition("VmRSS:")[2].split()[0]) << 10
        assert found["memory"] == pytest.approx(resident, rel=0.2)
        assert (found["cpu"] > 0, found["threads"] > 0, found["open_files"] > 0) == (True, True, True)
        assert re.search("Memory: .*\n *CPU: ", running.front_end("status", name).stdout)
        for figure in ("resident_memory_bytes", "cpu_seconds_total", "open_fds", "threads"):
            assert f'bitcoind_mp_unit_{figure}{{unit="{name}"}} ' in scrape(running)


def scrape(machine: Container) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(machine.path(DATA / "regtest/run/metrics.sock")))
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def test_that_limits_are_not_watched_is_said(running: Container) -> None:
    pid = unit(running, "wallet")["pid"]
    running.signal("STOP", pid)
    try:
        unseen = {f"wallet: -{option} is not watched: what it uses can't be seen" for option in ("maxrss", "maxcpu")}
        found = running.call("supervisor.sock", "health")
        assert unseen <= set(found["problems"])
        assert found["exit"] > 0
        assert unit(running, "wallet")["memory"] is None
    finally:
        running.signal("CONT", pid)
    wait_until("it is seen again", lambda: unit(running, "wallet")["memory"] is not None, PATIENCE)
