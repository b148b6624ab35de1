"""The signer and the limits under ``bitcoind-mp.service``, whose ProtectProc= hides all processes from each other."""

import json
from typing import Any

import pytest
from harness import wait_until
from systemd_container import ACCOUNT, DATA, PATIENCE, PREFIX, Container
from systemd_service import SERVICE

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
        from bitcoind_mp.ipc.blocking import call

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
        machine.configure("signerprocess=1", f"startupnotify={HOOK}")
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
    told = running.patiently(lambda: running.call("wallet.sock", "intrude", str(DATA / "regtest/run/signer.sock")))
    assert told.startswith("Method not found: the signer answers its owner alone")
