"""Moving a wallet's keys to the signer: either process killed after each step, and what is in memory afterwards."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from btclib_wallet.bip32.bip32 import BIP32KeyData
from forks import fork
from harness import Daemon, wait_until
from memory import found_in_memory
from wallet_pair import DEADLINE, STRANGER, Pair, wait_for

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.wallet.wallets.moving import Step

PASSPHRASE, ANOTHER = "first-ahgh4Oox", "second-Eiph7too"
WORKER = Path(__file__).resolve().parent / "workers" / "moving_wallet.py"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path, fork)
    pair.options["wallet"] += ["-signerprocess=1", "-keypool=2"]
    pair.options["signer"].append("-signerrelay=1")
    pair.options["wallet"].append("-sandbox=off")  # else it could kill nobody, nor be told whom
    pair.command["wallet"] = [sys.executable, str(WORKER)]
    pair.environment["DIE_AT"] = str(tmp_path / "order")
    yield pair
    pair.close()


def prepared(pair: Pair, *names: str) -> None:
    """Wallets that hold their own keys, with a coin to the seed before each one's encryption and one to that after."""
    order(pair, "")
    for role in ("node", "signer", "wallet"):
        pair.start(role)
    for name in names:
        pair.ask("wallet", "createwallet", name, False, False, "", False, True, True)
        pair.mine(1, pair.ask("wallet", "getnewaddress", wallet=name))
        pair.ask("wallet", "encryptwallet", PASSPHRASE, wallet=name)
        pair.mine(1, pair.ask("wallet", "getnewaddress", wallet=name))
    pair.mine(101, STRANGER)
    wait_for(lambda: all(pair.ask("wallet", "getbalance", wallet=name) == 100 for name in names), "their coins")


def order(pair: Pair, step: str, pid: int = 0) -> None:
    """Who dies after which step: 0 is the wallet's process."""
    (pair.datadir / "order").write_text(f"{step} {pid}")


def move(pair: Pair, name: str) -> None:
    pair.ask("wallet", "migratetosigner", PASSPHRASE, wallet=name)


def has_moved(pair: Pair, name: str) -> bool:
    """Move it; False while the wallet hasn't found the signer again."""
    try:
        move(pair, name)
    except RpcError as error:
        assert error.code == RpcCode.CLIENT_NOT_CONNECTED
        return False
    return True


def is_moved(pair: Pair, name: str) -> bool:
    return bool(pair.ask("wallet", "getwalletinfo", wallet=name)["external_signer"])


def is_unlocked(pair: Pair, name: str) -> bool:
    """Unlock it; False while the wallet hasn't found the signer again."""
    try:
        pair.ask("wallet", "walletpassphrase", PASSPHRASE, 600, wallet=name)
    except RpcError as error:
        assert error.code == RpcCode.CLIENT_NOT_CONNECTED
        return False
    return True


def spend_all(pair: Pair, name: str) -> None:
    wait_for(lambda: is_unlocked(pair, name), "the signer to be found")
    txid = pair.ask("wallet", "sendall", [STRANGER], wallet=name)["txid"]
    assert len(pair.node("getrawtransaction", txid, 1)["vin"]) == 2
    assert txid in pair.node("getrawmempool")


def test_killed_after_each_step_no_key_is_lost(pair: Pair) -> None:
    """Then the move is repeated, where it was not complete."""
    prepared(pair, *(step.value for step in Step))
    for count, step in enumerate(Step, 1):
        name = step.value
        order(pair, name)
        with pytest.raises(OSError):
            move(pair, name)
        pair.processes.pop("wallet").wait(DEADLINE)
        order(pair, "")
        if step is Step.TAKEN:
            pair.kill("signer")
            pair.start("signer")
        pair.start("wallet")
        given_up = step in (Step.GIVEN_UP, Step.WIPED)
        assert is_moved(pair, name) is given_up
        if not given_up:
            pair.ask("wallet", "walletpassphrase", PASSPHRASE, 60, wallet=name)  # its own keys are there as before
            assert pair.ask("wallet", "listdescriptors", True, wallet=name)["descriptors"]
            move(pair, name)
        assert len(pair.ask("signer", "getsignerinfo")["keysets"]) == count
        spend_all(pair, name)


def test_a_signer_that_is_killed_meanwhile(pair: Pair) -> None:
    """Before it has shown anything, the wallet stays as it is; once it has shown that it has the keys, it has them."""
    steps = (Step.BACKED_UP.value, Step.TAKEN.value)
    prepared(pair, *steps)
    for name in steps:
        order(pair, name, pair.processes["signer"].pid)
        if name == Step.BACKED_UP.value:
            with pytest.raises(RpcError):
                move(pair, name)
        else:
            move(pair, name)
        assert is_moved(pair, name) is (name == Step.TAKEN.value)
        pair.processes.pop("signer").wait(DEADLINE)
        order(pair, "")
        pair.start("signer")
        if not is_moved(pair, name):
            wait_for(lambda name=name: has_moved(pair, name), "the signer to be found")
        spend_all(pair, name)


def test_as_a_person_does_it(tmp_path: Path) -> None:
    """With another passphrase, which the wallet's process never learns; a new process of it has no key in memory."""
    daemon = Daemon(tmp_path, "-signerprocess=1", "-keypool=2", "-fallbackfee=0.0002")
    daemon.start()
    run = daemon.run
    try:
        run("bitcoin-mp", "createwallet", "w", "false", "false", "", "false", "true", "true")
        run("bitcoin-mp", "encryptwallet", PASSPHRASE)
        run("bitcoin-mp", "walletpassphrase", PASSPHRASE, "600")
        listed = json.loads(run("bitcoin-mp", "listdescriptors", "true").stdout)["descriptors"]
        xprvs = {part.split("/")[0] for one in listed for part in one["desc"].split("(") if part.startswith("tprv")}
        needles = [form for xprv in xprvs for form in (xprv.encode(), BIP32KeyData.b58decode(xprv).key[1:])]
        daemon.node("generatetoaddress", 101, daemon.wallet("w", "getnewaddress"))
        wait_until("it is there", lambda: daemon.wallet("w", "getbalance"))
        said = json.loads(run("bitcoin-mp", "migratetosigner", PASSPHRASE, ANOTHER).stdout)
        assert Path(said["backup"]).is_file()
        assert "restart wallet" in said["warning"]
        assert not any(found_in_memory(daemon.pid("wallet"), [ANOTHER.encode()]))
        run("bitcoin-mp", "restart", "wallet")
        wait_until("it is loaded", lambda: "w" in daemon.patiently(lambda: daemon.wallet(None, "listwallets")))
        assert run("bitcoin-mp", "walletpassphrase", PASSPHRASE, "600", check=False).returncode == 14
        run("bitcoin-mp", "walletpassphrase", ANOTHER, "600")
        run("bitcoin-mp", "sendtoaddress", STRANGER, "1")
        assert not any(found_in_memory(daemon.pid("wallet"), [*needles, ANOTHER.encode(), PASSPHRASE.encode()]))
        exported = json.loads(run("bitcoin-mp", "exportsignerkeys", said["keyset"], ANOTHER).stdout)
        assert {one["desc"] for one in exported["importdescriptors"]} == {one["desc"] for one in listed}
        log = (tmp_path / "regtest" / "signer" / "audit.log").read_text()
        assert [json.loads(line)["event"] for line in log.splitlines()][-1] == "exported"
        for path in tmp_path.rglob("*"):
            if path.is_file() and path.stat().st_size < 10_000_000:
                content = path.read_bytes()
                assert not any(needle in content for needle in [*needles, ANOTHER.encode(), PASSPHRASE.encode()]), path
    finally:
        run("bitcoin-mp", "stop", check=False)
