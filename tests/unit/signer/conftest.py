"""A signer in memory of this process: its store and log on disk, its clock and its policy by the test's word."""

import asyncio
import contextlib
import json
import resource
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.signer.audit import AuditLog
from bitcoind_mp.signer.clock import Reading
from bitcoind_mp.signer.policy import Policy
from bitcoind_mp.signer.requests import Requests
from bitcoind_mp.signer.store import Store
from bitcoind_mp.signer.vault import Vault
from bitcoind_mp.signing.sealing import Cost

CHEAP = Cost(passes=1, lanes=1, memory=8)


class Desk:
    """One signer's directory, and the signer that is started on it."""

    PASSPHRASE = "correct horse"

    def __init__(self, directory: Path, policy: Policy, patience: float) -> None:
        self.directory = directory
        self.policy = policy
        self.patience = patience
        self.reading = Reading(1_700_000_000, 1000, "boot")
        self.start()

    def start(self) -> None:
        self.store = Store(self.directory / "keys.sqlite")
        self.log = AuditLog(self.directory / "audit.log", self.store.audit_head())
        self.requests = Requests(self.patience)
        self.vault = Vault(
            self.store,
            self.log,
            self.policy,
            self.requests,
            chain="regtest",
            now=lambda: self.reading,
            cost=CHEAP,
        )

    def restart(self, policy: Policy | None = None) -> None:
        """The process ended, in whatever way, and was started again."""
        self.close()
        self.policy = policy or self.policy
        self.start()

    def close(self) -> None:
        self.vault.lock_all()
        self.log.close()
        self.store.close()

    async def keys(self, label: str = "w"):
        """A new key set, unlocked."""
        keys = await self.vault.make(label, self.PASSPHRASE)
        assert await self.vault.unlock(keys.id, self.PASSPHRASE, 600)
        return keys

    async def refused(self, work: Awaitable[Any]) -> RpcError:
        try:
            await work
        except RpcError as error:
            return error
        raise AssertionError("it was not refused")

    async def until_asked(self, count: int) -> None:
        """Until so many requests wait for the owner's word."""
        changed = asyncio.Event()
        self.requests.on_change = changed.set
        while len(self.requests) < count:
            await changed.wait()
            changed.clear()

    @contextlib.contextmanager
    def out_of_room(self, which: str) -> Iterator[None]:
        """The log, or the store, can't grow meanwhile: a limit of the kernel's on any file's size."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = 1 if which == "log" else (self.directory / "audit.log").stat().st_size + 2000
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)

    def events(self) -> list[dict[str, Any]]:
        """What is on record."""
        return [json.loads(line) for line in (self.directory / "audit.log").read_text().splitlines()]


@pytest.fixture
def on_desk(tmp_path: Path) -> Callable[..., None]:
    """Run a scenario, an async function of a `Desk`."""

    def run(scenario: Callable[[Desk], Awaitable[None]], patience: float = 30.0, **policy: Any) -> None:
        async def life() -> None:
            desk = Desk(tmp_path, Policy(**policy), patience)
            try:
                async with asyncio.timeout(60):
                    await scenario(desk)
            finally:
                desk.close()

        asyncio.run(life())

    return run
