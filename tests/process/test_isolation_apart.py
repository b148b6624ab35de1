"""What code inside the process of one wallet (-walletprocess=each) can do to the wallets beside it: nothing.

Each attempt is made in a confined process, which must refuse it, and in one with -sandbox=off, where it must succeed.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.sandbox import landlock
from tests.wallet_pair import Pair, wait_for

PROBED = Path(__file__).resolve().parent / "workers" / "probed.py"

pytestmark = pytest.mark.skipif(landlock.version() < 6, reason="this kernel has no Landlock of ABI 6 or later")


def started(directory: Path, *options: str) -> Pair:
    """``alice`` by a process of its own, with an intruder in it; beside it ``bob`` and both passphrases."""
    directory.mkdir()
    pair = Pair(directory)
    pair.options["wallet@alice"] = [f"-apart={directory}/none", "-onlywallet=alice", "-keypool=2", *options]
    pair.command["wallet@alice"] = [sys.executable, str(PROBED), "wallet"]
    credentials = directory / "credentials"
    credentials.mkdir()
    for name in ("alice", "bob"):
        (credentials / f"wallet.{name}.passphrase").write_text("secret")
    pair.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    try:
        pair.start("wallet")
        for name in ("alice", "bob"):
            pair.ask("wallet", "createwallet", name)
        pair.stop("wallet")
        pair.spawn("wallet@alice")
        wait_for(lambda: is_loaded(pair), "alice to answer")
    except BaseException:
        pair.close()
        raise
    return pair


def is_loaded(pair: Pair) -> bool:
    try:
        pair.ask("wallet@alice", "intrude", "pass")
    except RpcError as error:
        assert error.code in (RpcCode.IN_WARMUP, RpcCode.METHOD_NOT_FOUND)
        return False
    return bool(pair.ask("wallet@alice", "getwalletinfo"))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pair, Pair]]:
    directory = tmp_path_factory.mktemp("apart")
    made: list[Pair] = []
    try:
        for name, options in (("confined", ()), ("free", ("-sandbox=off",))):
            made.append(started(directory / name, *options))
        yield made[0], made[1]
    finally:
        for pair in made:
            pair.close()


def attempt(pair: Pair, code: str) -> str:
    given = f"datadir, wallets = Path({str(pair.datadir)!r}), Path({str(pair.wallets)!r})\n"
    return str(pair.ask("wallet@alice", "intrude", given + code))


FORBIDDEN = {
    "read another wallet": "(wallets / 'bob' / 'wallet.sqlite').read_bytes()",
    "change another wallet": "(wallets / 'bob' / 'wallet.sqlite').open('r+b').close()",
    "put a file beside another wallet": "path = wallets / 'bob' / 'x'; path.touch(); path.unlink()",
    "make another wallet its own": "path = wallets / 'alice' / 'x'\nos.link(wallets / 'bob' / 'wallet.sqlite', path)\n"
    "path.unlink()",
    "see what wallets there are": "os.listdir(wallets)",
    "make a wallet": "path = wallets / 'carol'; path.mkdir(); path.rmdir()",
    "change which are loaded": "path = wallets / 'settings.json'; path.touch(); path.unlink()",
    "read another's passphrase": "(datadir / 'credentials' / 'wallet.bob.passphrase').read_text()",
    "carry a file elsewhere": "path = datadir / 'stolen'; path.touch(); path.unlink()",
    "open an internet socket": "import socket; socket.socket(socket.AF_INET).close()",
    "read a block file": "os.listdir(datadir / 'regtest')",
}
REFUSALS = ("PermissionError", "OSError: [Errno 97]", "OSError: [Errno 18]")


@pytest.mark.parametrize("what", FORBIDDEN)
def test_an_intruder_fails_and_would_succeed_without_a_sandbox(both: tuple[Pair, Pair], what: str) -> None:
    confined, free = both
    assert attempt(free, FORBIDDEN[what]) == "done"
    assert attempt(confined, FORBIDDEN[what]).startswith(REFUSALS)


def test_its_own_wallet_is_its_own(both: tuple[Pair, Pair]) -> None:
    for code in (
        "(wallets / 'alice' / 'wallet.sqlite').read_bytes()",
        "path = wallets / 'alice' / 'x'; path.touch(); path.unlink()",
        "(datadir / 'credentials' / 'wallet.alice.passphrase').read_text()",
    ):
        assert attempt(both[0], code) == "done"
    assert both[0].ask("wallet@alice", "getnewaddress")


def test_it_has_no_commands_about_all_wallets(both: tuple[Pair, Pair]) -> None:
    for name in ("createwallet", "listwallets", "loadwallet", "unloadwallet", "restorewallet", "listwalletdir"):
        with pytest.raises(RpcError, match="Method not found"):
            both[0].ask("wallet@alice", name)
