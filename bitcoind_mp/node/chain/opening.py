"""Opens a data directory: the kernel, the header tree, the coins, the journal's blocks. Gives a `ChainState`."""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

import plyvel

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError, status_of_os_error
from bitcoind_mp.node.kernel import set_mock_time
from bitcoind_mp.node.kernel_values import KernelError, KernelOptions

from .clock import Clock
from .coins import CoinsView
from .journal import JournalDamaged
from .params import ChainParams
from .progress import MAX_TIP_AGE, InitialDownload
from .room import has_room, room_wanted
from .state import ChainState
from .store import Opened, Store, StoreEvent
from .tracker import Tracker
from .tree import IndexDamaged
from .trimming import Bounds
from .values import ChainFailed
from .worker import PATIENCE, KernelThread

log = logging.getLogger("bitcoind_mp.chain")

_LOCKED = re.compile(r"\b(?:lock|LOCK)\b")
"""In LevelDB's words and the kernel's own."""
_FUTURE = "from the future"
"""In the kernel's words for a tip that is ahead of the clock."""
_TELL_EVERY = 1.0
"""Seconds between two tellings of how far a replay is."""


async def open_chain(
    params: ChainParams,
    directory: Path,
    clock: Clock,
    *,
    options: KernelOptions = KernelOptions(),  # noqa: B008 (frozen)
    max_tip_age: int = MAX_TIP_AGE,
    bounds: Bounds = Bounds(),  # noqa: B008 (frozen)
    patience: float = PATIENCE,
    progress: Callable[[str], None] = lambda text: None,
    fail: Callable[[str], None] = lambda text: None,
) -> ChainState:
    """Open the network's data directory, whose locks the caller holds.

    ``progress`` gets a line for people now and then, in the loop; ``fail`` the kernel's last words, should it give
    up some day.

    Raises:
        FatalError: with a status that says what may help.
    """
    follow_clock(clock)
    loop = asyncio.get_running_loop()
    inbox = _Inbox()
    thread = KernelThread(loop, patience)
    store = Store(params, directory, lambda event: thread.post(inbox.take, event), options)
    progress("Reindexing blocks…" if options.wipe_coins else "Loading block index…")
    try:
        opened = await thread.run("open", store.open)
        download = InitialDownload(params, clock, max_tip_age)
        chain = _assemble(params, clock, thread, store, opened, inbox, download, fail, bounds)
        await _replay(chain, thread, store, progress)
    except BaseException as error:
        await thread.run("close", store.close)
        await thread.close()
        raise _explained(error, directory) from error
    return chain


def follow_clock(clock: Clock) -> None:
    """Have the kernel go by the node's clock."""

    def tell(timestamp: int) -> None:
        if not set_mock_time(timestamp) and timestamp:
            log.warning("This build of the kernel has no mock time: blocks are checked against the system's clock")

    tell(clock.mock)
    clock.watch(tell)


def _assemble(
    params: ChainParams,
    clock: Clock,
    thread: KernelThread,
    store: Store,
    opened: Opened,
    inbox: "_Inbox",
    download: InitialDownload,
    fail: Callable[[str], None],
    bounds: Bounds,
) -> ChainState:
    download.tip_moved(opened.tree.tip)
    tracker = Tracker(opened.tree, CoinsView(opened.coins), opened.files, download, fail)
    inbox.open(tracker.apply)
    return ChainState(params, clock, thread, store, tracker, opened.files, download, opened.bytes_used, bounds)


async def _replay(chain: ChainState, thread: KernelThread, store: Store, progress: Callable[[str], None]) -> None:
    """Give the kernel what it had when the process was killed."""
    if store.journal_size:
        progress("Replaying blocks…")
        told = time.monotonic()

        def replayed(count: int) -> None:
            nonlocal told
            if time.monotonic() - told >= _TELL_EVERY:
                told = time.monotonic()
                thread.post(progress, f"Replaying blocks… {count}")

        count = await thread.run("replay blocks", lambda: store.replay(replayed))
        log.info("Replayed %d blocks of the journal: height %d", count, chain.height)
    if not chain.coins.available:
        await chain.settle()


class _Inbox:
    """Holds what the kernel tells until somebody can take it."""

    def __init__(self) -> None:
        self._held: list[StoreEvent] = []
        self._sink: Callable[[StoreEvent], None] | None = None

    def take(self, event: StoreEvent) -> None:
        if self._sink is None:
            self._held.append(event)
        else:
            self._sink(event)

    def open(self, sink: Callable[[StoreEvent], None]) -> None:
        self._sink = sink
        while self._held:
            sink(self._held.pop(0))


def _words(error: BaseException) -> str:
    """What it says; plyvel's errors do so in bytes."""
    if isinstance(error, ChainFailed):
        return error.why
    if isinstance(error, plyvel.Error) and error.args and isinstance(error.args[0], bytes):
        return error.args[0].decode(errors="replace")
    return str(error)


def _is_full(error: BaseException, directory: Path) -> bool:
    """Whether it is room that is missing. The kernel, which asks for some before it writes, gives only vague words."""
    if "No space left" in str(error):
        return True
    if isinstance(error, OSError) and status_of_os_error(error) is ExitStatus.DISK_FULL:
        return True
    return isinstance(error, KernelError | ChainFailed) and not has_room(directory)


def _explained(error: BaseException, directory: Path) -> BaseException:
    """A fatal error with the exit status that helps, for what went wrong while opening."""
    text = _words(error)
    if _is_full(error, directory):
        return FatalError(
            f"No room to open the chain in {directory}: {text}.",
            hint="Make room on the disk.",
            status=ExitStatus.DISK_FULL,
            obstacle=room_wanted(directory),
        )
    if isinstance(error, KernelError | plyvel.Error) and _LOCKED.search(text):
        return FatalError(
            f"Another program has the chain in {directory} open: {text}.",
            hint="Stop it first.",
            status=ExitStatus.LOCKED,
        )
    if isinstance(error, KernelError) and _FUTURE in text:
        return FatalError(
            f"The chain in {directory} has a block of more than two hours from now.",
            hint="Set this computer's date and time. If they are right, move blocks/ and chainstate/ away.",
            status=ExitStatus.OS_ERROR,
        )
    if isinstance(error, JournalDamaged):
        return FatalError(
            f"The chain in {directory} is damaged: {text}.",
            hint="Move that file away: the newest blocks may have to be downloaded again.",
            status=ExitStatus.DATA_CORRUPT,
        )
    if isinstance(error, KernelError | plyvel.Error | IndexDamaged):
        return FatalError(
            f"The chain in {directory} is damaged: {text}.",
            hint="Stop everything and start bitcoind-mp once with -reindex, which rebuilds it from its blocks; if that "
            "fails, restore it from a backup, or move blocks/ and chainstate/ away to download it again.",
            status=ExitStatus.DATA_CORRUPT,
        )
    if isinstance(error, OSError | ChainFailed):
        return FatalError(f"Can't open the chain in {directory}: {text}.", status=ExitStatus.OS_ERROR)
    return error
