"""A wallet that a credential unlocked and its owner locked stays so, whatever is killed or started again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Daemon, wait_until

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(params=["-signerprocess=0", "-signerprocess=1", "-walletprocess=each"])
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    """With an encrypted wallet, whose keys are where the option says, and its credential."""
    made = Daemon(tmp_path, request.param, "-keypool=1", "-restartdelay=0", "-walletunlock=w:600")
    made.environment["CREDENTIALS_DIRECTORY"] = str(tmp_path / "credentials")
    credential = tmp_path / "credentials" / "wallet.w.passphrase"
    credential.parent.mkdir()
    credential.write_text(PASSPHRASE + "\n")
    made.start()
    made.run(
        "bitcoin-mp", "-named", "createwallet", "wallet_name=w", f"passphrase={PASSPHRASE}", "load_on_startup=true"
    )
    yield made
    made.clean_up()


def start_again(daemon: Daemon) -> None:
    """Once nothing is left of what was killed."""
    wait_until("all have ended", lambda: not daemon.processes())
    daemon.start()


def unlocked_until(daemon: Daemon) -> int:
    return int(daemon.patiently(lambda: daemon.wallet("w", "getwalletinfo"))["unlocked_until"])


def refusals(daemon: Daemon) -> int:
    logs = (path.read_text() for path in daemon.directory.rglob("logs/*.log"))
    return sum(log.count("or somebody locked it") for log in logs)


def test_a_supervisor_that_was_killed_renews_nothing(daemon: Daemon) -> None:
    daemon.stop()
    start_again(daemon)
    first = wait_until("it is unlocked", lambda: unlocked_until(daemon))
    daemon.supervisor("restart", "wallet")
    wait_until("its next process has it unlocked", lambda: unlocked_until(daemon))
    daemon.kill_supervisor()
    start_again(daemon)
    again = wait_until("it is unlocked again", lambda: unlocked_until(daemon))
    assert again <= first + 1, "for what was left, to a second"
    daemon.run("bitcoin-mp", "-rpcwallet=w", "walletlock")
    for count, end in enumerate((daemon.kill_supervisor, daemon.stop), 1):
        end()
        start_again(daemon)
        wait_until("it is refused", lambda count=count: refusals(daemon) == count)
        assert unlocked_until(daemon) == 0
