"""Passphrases handed over as credentials: who is unlocked, for how long, and what is said about it."""

import asyncio
import logging
from pathlib import Path

import pytest

from bitcoind_mp.config.credentials import Credentials, Deadlines
from bitcoind_mp.config.instances import escaped
from bitcoind_mp.interfaces.journal import Event, event_of
from bitcoind_mp.wallet.wallets.boot_unlock import BootUnlock

PASSPHRASE = "correct horse battery staple"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def unlocking(directory: Path, clock: Clock, seconds: int = 600, boot: str = "b") -> BootUnlock:
    """What a process has at its start, with what is in ``directory``."""
    deadlines = Deadlines(directory / "unlocked.json", boot, clock)
    return BootUnlock({"w": seconds}, Credentials(directory, escaped), deadlines)


def put(directory: Path, text: str) -> None:
    (directory / "wallet.w.passphrase").write_text(text)


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [Event(event_of(record)[0]).name for record in caplog.records if event_of(record)[0]]


def test_it_is_unlocked_for_its_time_and_the_log_says_by_what(on_bench, clock, caplog):
    caplog.set_level(logging.INFO)

    async def scenario(bench):
        put(bench.directory, PASSPHRASE + "\n")
        wallet = await bench.wallet("w", passphrase=PASSPHRASE)
        await unlocking(bench.directory, clock).unlock(bench.wallets.get)
        assert not wallet.keys.is_locked
        assert wallet.relock.until == bench.NOW + 600
        wallet.relock.lock()
        assert wallet.keys.is_locked

    on_bench(scenario)
    assert events(caplog) == ["WALLET_UNLOCKED", "WALLET_LOCKED"]
    assert "[w] unlocked at start by the credential wallet.w.passphrase, as uid " in caplog.text
    assert "for 600 s, until 20" in caplog.text
    assert PASSPHRASE not in caplog.text


def test_its_time_ends_by_itself(on_bench, clock):
    async def scenario(bench):
        put(bench.directory, PASSPHRASE)
        wallet = await bench.wallet("w", passphrase=PASSPHRASE)
        locked = asyncio.Event()
        await unlocking(bench.directory, clock, seconds=1).unlock(bench.wallets.get)
        told, wallet.relock.on_lock = wallet.relock.on_lock, lambda: (told(), locked.set())
        await locked.wait()
        assert wallet.keys.is_locked

    on_bench(scenario)


def test_a_process_started_again_has_what_is_left_and_nothing_after_a_lock(on_bench, clock, caplog):
    async def scenario(bench):
        put(bench.directory, PASSPHRASE)
        await bench.wallet("w", passphrase=PASSPHRASE)
        await unlocking(bench.directory, clock).unlock(bench.wallets.get)
        clock.now += 400
        await bench.restart()
        await unlocking(bench.directory, clock).unlock(bench.wallets.get)
        assert bench.loaded().relock.until == bench.NOW + 200
        await bench.restart()
        clock.now += 200
        await unlocking(bench.directory, clock).unlock(bench.wallets.get)
        assert bench.loaded().keys.is_locked
        assert "its 600 s from the first start since the machine came up are over" in caplog.text
        # another boot
        await unlocking(bench.directory, clock, boot="c").unlock(bench.wallets.get)
        assert bench.loaded().relock.until == bench.NOW + 600
        bench.loaded().relock.lock()
        await bench.restart()
        await unlocking(bench.directory, clock, boot="c").unlock(bench.wallets.get)
        assert bench.loaded().keys.is_locked

    on_bench(scenario)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("wrong", "the credential wallet.w.passphrase is not its passphrase"),
        (None, "the credential wallet.w.passphrase can't be read: No such file or directory"),
        ("\n", "the credential wallet.w.passphrase can't be read: it is empty"),
        ("x" * 70_000, "the credential wallet.w.passphrase can't be read: it is too long"),
    ],
)
def test_a_bad_credential_is_a_warning_and_it_stays_locked(on_bench, clock, caplog, text, complaint):
    async def scenario(bench):
        if text is not None:
            put(bench.directory, text)
        wallet = await bench.wallet("w", passphrase=PASSPHRASE)
        await unlocking(bench.directory, clock).unlock(bench.wallets.get)
        assert wallet.keys.is_locked
        put(bench.directory, PASSPHRASE)
        await unlocking(bench.directory, clock).unlock(bench.wallets.get)
        assert not wallet.keys.is_locked, "a credential that failed costs no time"

    on_bench(scenario)
    assert events(caplog) == ["WALLET_NOT_UNLOCKED"]
    assert f"[w] not unlocked at start: {complaint}" in caplog.text


def test_what_there_is_nothing_to_unlock_of_is_told(on_bench, clock, caplog):
    async def scenario(bench):
        await unlocking(bench.directory, clock).unlock(bench.wallets.get)
        await bench.wallet("w")
        await unlocking(bench.directory, clock).unlock(bench.wallets.get)

    on_bench(scenario)
    assert "[w] not unlocked at start: it is not loaded" in caplog.text
    assert "[w] not unlocked at start: it is not encrypted" in caplog.text


def test_no_credentials_at_all(on_bench, clock, caplog):
    async def scenario(bench):
        wallet = await bench.wallet("w", passphrase=PASSPHRASE)
        deadlines = Deadlines(bench.directory / "unlocked.json", "b", clock)
        await BootUnlock({"w": 5}, Credentials(None, escaped), deadlines).unlock(bench.wallets.get)
        assert wallet.keys.is_locked

    on_bench(scenario)
    assert "no credentials were handed over" in caplog.text


def test_a_file_of_an_earlier_version_is_of_no_matter(on_bench, clock):
    async def scenario(bench):
        put(bench.directory, PASSPHRASE)
        (bench.directory / "unlocked.json").write_text('{"parent": "b:2:3", "until": {"w": 0.0}}')
        wallet = await bench.wallet("w", passphrase=PASSPHRASE)
        await unlocking(bench.directory, clock).unlock(bench.wallets.get)
        assert wallet.relock.until == bench.NOW + 600

    on_bench(scenario)


@pytest.mark.parametrize("content", ["[", "[]", "{}", '{"boot": "b", "until": {"w": null}}'])
def test_a_time_that_nobody_knows_is_none(on_bench, clock, caplog, content):
    async def scenario(bench):
        put(bench.directory, PASSPHRASE)
        (bench.directory / "unlocked.json").write_text(content)
        wallet = await bench.wallet("w", passphrase=PASSPHRASE)
        await unlocking(bench.directory, clock).unlock(bench.wallets.get)
        assert wallet.keys.is_locked

    on_bench(scenario)
    assert "[w] not unlocked at start: its time can't be told" in caplog.text
