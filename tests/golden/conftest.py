"""The daemon over the chain that Bitcoin Core made, set up as Core was when it was asked (the vectors' README.md).

One for all tests that put Core's questions: they don't change what another one asks about.
"""

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import vectors
from harness import Daemon, wait_until
from likeness import answer


@pytest.fixture(scope="session")
def daemon_over_core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Daemon]]:
    """Makes a daemon over a copy of Core's data directory without its wallets, with the options that Core had."""
    archive = vectors.VECTORS / "core-regtest" / "datadir.tar.xz"
    if not archive.is_file():
        pytest.skip(vectors.ABSENT)
    made: list[Daemon] = []

    def make() -> Daemon:
        directory = tmp_path_factory.mktemp("golden")
        with tarfile.open(archive) as packed:
            packed.extractall(directory, filter="data")
        network = next(directory.rglob("regtest"))
        shutil.rmtree(network / "wallets", ignore_errors=True)
        options = ("-keypool=20", "-txindex=1", "-blockfilterindex=1", "-fallbackfee=0.0002", "-listen=0")
        daemon = Daemon(network.parent, f"-mocktime={vectors.answers()['_mocktime']}", *options)
        made.append(daemon)
        daemon.start()
        _await_indexes(daemon)
        return daemon

    yield make
    for daemon in made:
        daemon.clean_up()


def _await_indexes(daemon: Daemon) -> None:
    def at_tip() -> bool:
        height = daemon.node("getblockcount")
        return all(index["best_block_height"] == height for index in daemon.node("getindexinfo").values())

    wait_until("the indexes are at the tip", at_tip)


@pytest.fixture(scope="session")
def await_indexes() -> Callable[[Daemon], None]:
    """Waits until the node's indexes know the tip: they follow it in their own time."""
    return _await_indexes


@pytest.fixture(scope="session")
def daemon(daemon_over_core: Callable[[], Daemon]) -> Iterator[Daemon]:
    """The daemon that the questions are put to."""
    daemon = daemon_over_core()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="session")
def imports(daemon: Daemon) -> dict[str, Any]:
    """The wallets alice, bob and carol, filled as Core's were; what each import answered, by the question's name."""
    found = {}
    for name in ("alice", "bob", "carol"):
        daemon.wallet(None, "createwallet", name, name == "carol", True)
        question = vectors.answers()[f"{name}.importdescriptors"]
        found[f"{name}.importdescriptors"] = daemon.wallet(name, question["method"], *question["params"])
    return found


@pytest.fixture
def ask(daemon: Daemon) -> Callable[[str], Any]:
    """Puts one of the questions again: to a wallet that is named, else to the node."""

    def ask(name: str) -> Any:
        question = vectors.answers()[name]
        method, wallet = question["method"], question["wallet"]
        params = json.loads(json.dumps(question["params"], default=float))
        if wallet:
            return answer(lambda: daemon.wallet(wallet, method, *params))
        return answer(lambda: daemon.node(method, *params))

    return ask
