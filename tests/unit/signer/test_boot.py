"""Keys that a credential unlocks at the start."""

import asyncio
import logging
from pathlib import Path

import pytest

from bitcoind_mp.config.credentials import Credentials, Deadlines
from bitcoind_mp.config.instances import escaped
from bitcoind_mp.signer.boot import BootUnlock


def boot(directory: Path, now: float = 1000.0, seconds: int = 600) -> BootUnlock:
    deadlines = Deadlines(directory / "unlocked.json", "b", lambda: now)
    return BootUnlock({"w": seconds}, Credentials(directory, escaped), deadlines)


def put(directory: Path, text: str) -> None:
    (directory / "wallet.w.passphrase").write_text(text)


def test_unlocked_for_what_is_left_of_its_time(on_desk, tmp_path):
    async def scenario(desk):
        keys = await desk.vault.make("w", desk.PASSPHRASE)
        put(tmp_path, desk.PASSPHRASE + "\n")
        assert await desk.vault.introduce(keys.id, "w") == 0
        await boot(tmp_path).unlock(desk.vault)
        assert 598 <= await desk.vault.introduce(keys.id, "w") <= 600
        desk.vault.close()  # it ended, and is started again 400 seconds later
        desk.restart()
        await boot(tmp_path, 1400.0).unlock(desk.vault)
        assert 198 <= await desk.vault.introduce(keys.id, "w") <= 200
        await desk.vault.lock(keys.id)
        desk.restart()
        await boot(tmp_path, 1401.0).unlock(desk.vault)
        assert await desk.vault.introduce(keys.id, "w") == 0
        assert [event["seconds"] for event in desk.events() if event["event"] == "unlocked"] == [600, 200]

    on_desk(scenario)


def test_a_person_s_own_time_is_not_the_start_s(on_desk, tmp_path):
    async def scenario(desk):
        keys = await desk.vault.make("w", desk.PASSPHRASE)
        put(tmp_path, desk.PASSPHRASE)
        await boot(tmp_path).unlock(desk.vault)
        assert await desk.vault.unlock(keys.id, desk.PASSPHRASE, 60)
        assert await desk.vault.introduce(keys.id, "w") == 0, "a wallet that is started again is locked"

    on_desk(scenario)


@pytest.mark.parametrize(
    ("passphrase", "wallet", "why"),
    [
        ("wrong", "w", "is not its passphrase"),
        (None, "w", "can't be read: No such file"),
        ("correct horse", "other", "no keys of a wallet of that name"),
    ],
)
def test_why_it_stays_locked(on_desk, tmp_path, caplog, passphrase, wallet, why):
    async def scenario(desk):
        keys = await desk.vault.make(wallet, desk.PASSPHRASE)
        if passphrase is not None:
            put(tmp_path, passphrase)
        with caplog.at_level(logging.INFO):
            await boot(tmp_path).unlock(desk.vault)
        assert why in caplog.text
        assert "correct" not in caplog.text
        assert await desk.vault.introduce(keys.id, wallet) == 0

    on_desk(scenario)


def test_it_locks_itself_when_its_time_is_over(on_desk, tmp_path):
    async def scenario(desk):
        keys = await desk.vault.make("w", desk.PASSPHRASE)
        put(tmp_path, desk.PASSPHRASE)
        locked = asyncio.Event()
        await boot(tmp_path, seconds=1).unlock(desk.vault)
        desk.vault.on_change = locked.set
        await asyncio.wait_for(locked.wait(), 10)
        assert await desk.vault.introduce(keys.id, "w") == 0

    on_desk(scenario)
