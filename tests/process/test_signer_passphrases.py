"""The person's commands, whose passphrases go to the signer: nothing of them comes into the wallet's process."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import BIN, DEADLINE, Daemon, wait_until
from memory import found_in_memory
from wallet_pair import STRANGER

from bitcoind_mp.interfaces.errors import RpcError

#: None of them is a part of another, nor anything that a process has in its memory by chance.
FIRST, SECOND, WRONG = "first-ahgh4Oox", "second-Eiph7too", "wrong-oV4aegee"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path, "-signerprocess=1", "-keypool=2", "-fallbackfee=0.0002", "-debug=ipc")
    daemon.start()
    yield daemon
    daemon.run("bitcoin-mp", "stop", check=False)


def said(daemon: Daemon, *words: str) -> str:
    return daemon.run("bitcoin-mp", *words, check=False).stderr


def unlocked(daemon: Daemon) -> list[bool]:
    return [one["unlocked"] for one in json.loads(daemon.run("bitcoin-mp", "getsignerinfo").stdout)["keysets"]]


def test_a_wallet_s_life(daemon: Daemon) -> None:
    run = daemon.run
    run("bitcoin-mp", "-named", "createwallet", "wallet_name=w", f"passphrase={FIRST}")
    assert json.loads(run("bitcoin-mp", "getwalletinfo").stdout)["external_signer"] is True
    assert "-14" in said(daemon, "walletpassphrase", WRONG, "60")
    run("bitcoin-mp", "walletpassphrase", FIRST, "60")
    assert unlocked(daemon) == [True]
    daemon.node("generatetoaddress", 101, daemon.wallet("w", "getnewaddress"))
    wait_until("it is there", lambda: daemon.wallet("w", "getbalance"))
    run("bitcoin-mp", "sendtoaddress", STRANGER, "1")
    run("bitcoin-mp", "walletlock")
    assert unlocked(daemon) == [False]
    assert "-13" in said(daemon, "sendtoaddress", STRANGER, "1")
    run("bitcoin-mp", "walletpassphrasechange", FIRST, SECOND)
    assert "-14" in said(daemon, "walletpassphrase", FIRST, "60")
    run("bitcoin-mp", "-named", "walletpassphrase", "timeout=60", f"passphrase={SECOND}")
    run("bitcoin-mp", "sendtoaddress", STRANGER, "1")
    wallet, signer = (daemon.pid(name) for name in ("wallet", "signer"))
    secrets = [text.encode() for text in (FIRST, SECOND, WRONG)]
    assert found_in_memory(wallet, secrets) == [False, False, False]
    assert any(found_in_memory(signer, secrets)), "looked for in the right way"
    for log in daemon.directory.rglob("*.log"):
        assert not any(secret in log.read_bytes() for secret in secrets), log


def test_who_calls_the_wallet_s_socket_is_told_the_way(daemon: Daemon) -> None:
    daemon.run("bitcoin-mp", "createwallet", "w", "false", "false", FIRST)
    with pytest.raises(RpcError, match="takes passphrases from bitcoin-mp alone"):
        daemon.wallet("w", "walletpassphrase", FIRST, 60)
    with pytest.raises(RpcError, match="or start the signer with -signerrelay=1"):
        daemon.wallet(None, "createwallet", "x", False, False, FIRST)
    assert not (daemon.directory / "regtest" / "wallets" / "x").exists()


def test_wallets_that_hold_their_own_keys(daemon: Daemon) -> None:
    """Their passphrase is for their process; but where the signer has keys, the person must have named the wallet."""
    run = daemon.run
    run("bitcoin-mp", "createwallet", "own")
    run("bitcoin-mp", "encryptwallet", FIRST)
    run("bitcoin-mp", "walletpassphrase", FIRST, "60")  # the signer has no keys at all
    run("bitcoin-mp", "createwallet", "w", "false", "false", SECOND)
    run("bitcoin-mp", "-rpcwallet=own", "walletlock")
    run("bitcoin-mp", "-rpcwallet=own", "walletpassphrase", FIRST, "60")
    assert "-19" in said(daemon, "walletpassphrase", FIRST, "60")
    run("bitcoin-mp", "unloadwallet", "w")
    assert "name it: -rpcwallet=own" in said(daemon, "walletpassphrase", FIRST, "60")
    run("bitcoin-mp", "-named", "createwallet", "blank", "blank=true", f"passphrase={WRONG}")
    run("bitcoin-mp", "-rpcwallet=blank", "walletpassphrase", WRONG, "60")


def test_while_the_signer_is_away_nobody_is_told(daemon: Daemon) -> None:
    daemon.run("bitcoin-mp", "createwallet", "w", "false", "false", FIRST)
    daemon.run("bitcoin-mp", "stop", "signer")
    hint = f"The signer is stopped. Start it with: bitcoin-mp -regtest -datadir={daemon.directory} start signer"
    assert hint in said(daemon, "walletpassphrase", FIRST, "60")
    daemon.run("bitcoin-mp", "start", "signer")
    os.kill(daemon.pid("signer"), signal.SIGKILL)
    daemon.run("bitcoin-mp", "walletpassphrase", FIRST, "60")  # waits for the next one
    assert unlocked(daemon) == [True]
    assert found_in_memory(daemon.pid("wallet"), [FIRST.encode()]) == [False]


def test_a_wallet_that_is_loaded_by_another_name(daemon: Daemon) -> None:
    daemon.run("bitcoin-mp", "createwallet", "w", "false", "false", FIRST)
    daemon.run("bitcoin-mp", "backupwallet", str(daemon.directory / "copy"))
    daemon.run("bitcoin-mp", "restorewallet", "again", str(daemon.directory / "copy"))
    daemon.run("bitcoin-mp", "-rpcwallet=again", "walletpassphrase", FIRST, "60")
    assert unlocked(daemon) == [True]
    assert found_in_memory(daemon.pid("wallet"), [FIRST.encode()]) == [False]


def typed(daemon: Daemon, *lines: str) -> str:
    """What the shell says to these lines."""
    done = subprocess.run(
        [str(BIN / "bitcoin-mp"), "-regtest", f"-datadir={daemon.directory}"],
        input="\n".join(lines) + "\n",
        env=daemon.environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    return done.stdout + done.stderr


def test_a_wallet_that_is_restored_before_its_keys(daemon: Daemon) -> None:
    """In a new data directory, under another name: its process is told no passphrase, before its keys are there nor
    after."""
    daemon.run("bitcoin-mp", "createwallet", "w", "false", "false", FIRST)
    daemon.run("bitcoin-mp", "backupwallet", str(daemon.directory / "copy"))
    keys = daemon.run("bitcoin-mp", "backupsigner").stdout.strip()
    new = Daemon(daemon.directory / "new", *daemon.options)
    new.start()
    try:
        new.run("bitcoin-mp", "restorewallet", "x", str(daemon.directory / "copy"))
        for complaint in (
            said(new, "walletpassphrase", FIRST, "60"),
            said(new, "-rpcwallet=x", "walletpassphrase", FIRST, "60"),
            said(new, "-rpcwallet=x", "walletpassphrasechange", FIRST, SECOND),
            typed(new, "use x", f"walletpassphrase {FIRST} 60"),
        ):
            assert "Bring them back with restoresigner" in complaint
        new.run("bitcoin-mp", "restoresigner", keys)
        new.run("bitcoin-mp", "-rpcwallet=x", "walletpassphrase", FIRST, "60")
        assert unlocked(new) == [True]
        new.run("bitcoin-mp", "-rpcwallet=x", "walletlock")
        new.run("bitcoin-mp", "-rpcwallet=x", "walletpassphrasechange", FIRST, SECOND)
        assert found_in_memory(new.pid("wallet"), [FIRST.encode(), SECOND.encode()]) == [False, False]
    finally:
        new.clean_up()


def test_in_the_shell(daemon: Daemon) -> None:
    daemon.run("bitcoin-mp", "createwallet", "own")

    answer = typed(
        daemon, f"createwallet w false false {FIRST}", "use w", f"walletpassphrase {FIRST} 60", "getsignerinfo"
    )
    assert '"unlocked": true' in answer
    assert unlocked(daemon) == [True]
    assert "error code: -19" in typed(daemon, f"walletpassphrase {WRONG} 60")
    typed(daemon, "use w", f"-named walletpassphrasechange newpassphrase={SECOND} oldpassphrase={FIRST}", "walletlock")
    assert unlocked(daemon) == [False]
    daemon.run("bitcoin-mp", "-rpcwallet=w", "walletpassphrase", SECOND, "60")
    secrets = [text.encode() for text in (FIRST, SECOND, WRONG)]
    assert found_in_memory(daemon.pid("wallet"), secrets) == [False, False, False]


def test_unlocked_at_the_start_by_a_credential(tmp_path: Path) -> None:
    """The signer reads it, and the wallet's process isn't told where it lies; both ends know that it is unlocked."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "wallet.w.passphrase").write_text(FIRST + "\n")
    daemon = Daemon(tmp_path, "-signerprocess=1", "-keypool=2", "-fallbackfee=0.0002", "-walletunlock=w:600")
    daemon.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    daemon.start()
    try:
        assert "no keys of a wallet of that name" in daemon.log("signer")
        daemon.run("bitcoin-mp", "createwallet", "w", "false", "false", FIRST)
        for unit in ("signer", "wallet", "signer"):
            old = daemon.kill(unit)
            wait_until("it is back", lambda unit=unit, old=old: daemon.unit(unit)["pid"] not in (None, old))
            daemon.patiently(lambda: daemon.wallet("w", "getwalletinfo"))
            wait_until("it is told", lambda: daemon.wallet("w", "getwalletinfo")["unlocked_until"] > 0)
        assert daemon.log("signer").count("unlocked at start by the credential wallet.w.passphrase") == 2
        assert "1 unlocked" in daemon.unit("signer")["status"]
        daemon.node("generatetoaddress", 101, daemon.wallet("w", "getnewaddress"))
        wait_until("it is there", lambda: daemon.wallet("w", "getbalance"))
        daemon.run("bitcoin-mp", "sendtoaddress", STRANGER, "1")
        assert found_in_memory(daemon.pid("wallet"), [FIRST.encode(), str(credentials).encode()]) == [False, False]
        daemon.run("bitcoin-mp", "walletlock")
        daemon.kill("signer")
        wait_until("it is refused", lambda: "or somebody locked it" in daemon.log("signer"))
        assert "-13" in said(daemon, "sendtoaddress", STRANGER, "1")
    finally:
        daemon.run("bitcoin-mp", "stop", check=False)
