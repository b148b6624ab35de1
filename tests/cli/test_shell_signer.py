"""The signer's commands in the shell: it is a server as the others, though it has nothing to tell by itself."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import BIN, DEADLINE, Daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "d", "-signerprocess")
    made.start()
    yield made
    made.clean_up()


def test_the_shell_calls_the_signer(daemon: Daemon) -> None:
    shell = subprocess.run(
        [str(BIN / "bitcoin-mp"), "-regtest", f"-datadir={daemon.directory}"],
        input="getsignerinfo\nlistsigningrequests\n",
        env=daemon.environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert shell.returncode == 0, shell.stderr
    assert daemon.run("bitcoin-mp", "getsignerinfo").stdout.strip() in shell.stdout
    daemon.stop()
