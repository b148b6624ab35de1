"""The daemon over the chain that Bitcoin Core made, set up as Core was when it was asked (the vectors' README.md).

One for all golden tests of a session; they don't change what another one asks about.
"""

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import vectors
from harness import Daemon, wait_until
from likeness import answer


@pytest.fixture(scope="session")
def core_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of Core's data directory, without its wallets."""
    archive = vectors.VECTORS / "core-regtest" / "datadir.tar.xz"
    if not archive.is_file():
        pytest.skip(vectors.ABSENT)
    directory = tmp_path_factory.mktemp("golden")
    with tarfile.open(archive) as packed:
        packed.extractall(directory, filter="data")
    network = next(directory.rglob("regtest"))
    shutil.rmtree(network / "wallets", ignore_errors=True)
    return network.parent


@pytest.fixture(scope="session")
def daemon(core_directory: Path) -> Iterator[Daemon]:
    """Our daemon over it, with the options that Core had."""
    options = ("-keypool=20", "-txindex=1", "-blockfilterindex=1", "-fallbackfee=0.0002", "-listen=0")
    daemon = Daemon(core_directory, f"-mocktime={vectors.answers()['_mocktime']}", *options)
    try:
        daemon.start()
        indexes = ("txindex", "basic block filter index")
        wait_until(
            "the indexes are built",
            lambda: all(daemon.node("getindexinfo", name).get(name, {}).get("synced") for name in indexes),
        )
        yield daemon
        daemon.stop()
    finally:
        daemon.clean_up()


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
