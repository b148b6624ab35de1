"""One data directory, Bitcoin Core and us by turns. Needs a bitcoind on PATH or in BITCOIND."""

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
BITCOIND = os.environ.get("BITCOIND") or shutil.which("bitcoind")
LOCKED = 75

pytestmark = pytest.mark.skipif(not BITCOIND, reason="no bitcoind on PATH or in BITCOIND")


class Core:
    """A bitcoind on the directory, with its command line beside it."""

    def __init__(self, datadir: Path) -> None:
        self.datadir = datadir
        options = ["-listen=0", "-connect=0", "-daemonwait", "-checkblockindex=0", "-rpcport=38765", "-server=1"]
        subprocess.run([str(BITCOIND), "-regtest", f"-datadir={datadir}", *options], check=True, capture_output=True)

    def call(self, method: str, *params: object) -> object:
        command = Path(str(BITCOIND)).with_name("bitcoin-cli")
        arguments = [param if isinstance(param, str) else json.dumps(param) for param in params]
        done = subprocess.run(
            [str(command), "-regtest", f"-datadir={self.datadir}", "-rpcport=38765", method, *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        with contextlib.suppress(ValueError):
            return json.loads(done.stdout)
        return done.stdout.strip()

    def stop(self, eventually) -> None:
        pid = int((self.datadir / "regtest" / "bitcoind.pid").read_text())
        self.call("stop")
        eventually(lambda: not Path(f"/proc/{pid}").exists(), "bitcoind to end")


@pytest.fixture
def core(node, eventually):
    running = []

    def start() -> Core:
        running.append(Core(node.datadir))
        return running[-1]

    yield start
    with contextlib.suppress(subprocess.CalledProcessError, OSError):
        running[-1].stop(eventually)


def test_each_goes_on_where_the_other_stopped(node, core, eventually) -> None:
    first = core()
    first.call("generatetoaddress", 110, ADDRESS)
    best, coins = first.call("getbestblockhash"), first.call("gettxoutsetinfo")
    assert node.spawn().process.wait(30) == LOCKED, "not both at once"
    first.stop(eventually)

    node.start()
    assert node.call("getbestblockhash") == best
    assert node.call("gettxoutsetinfo")["hash_serialized_3"] == coins["hash_serialized_3"]
    best = node.call("generatetoaddress", 20, ADDRESS)[-1]
    refused = subprocess.run(
        [str(BITCOIND), "-regtest", f"-datadir={node.datadir}", "-listen=0"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert refused.returncode != 0 and "lock" in refused.stdout + refused.stderr
    node.kill()
    node.start()
    assert node.call("getbestblockhash") == best
    coins = node.call("gettxoutsetinfo")
    assert node.stop() == 0

    again = core()
    assert again.call("getbestblockhash") == best
    assert again.call("verifychain", 4, 0) is True
    assert again.call("gettxoutsetinfo")["hash_serialized_3"] == coins["hash_serialized_3"]
    again.call("generatetoaddress", 1, ADDRESS)
    again.stop(eventually)
    node.start()
    assert node.call("getblockcount") == 131
