"""``bitcoind-mp``: reads the configuration, goes to the background if asked to, runs the supervisor, exits."""

import asyncio
import os
import sys
import time

from bitcoind_mp import config as configuration
from bitcoind_mp.config import Config
from bitcoind_mp.config.option import SUPERVISOR
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError, RpcError
from bitcoind_mp.service.logging import require_categories, stderr_is_journal
from bitcoind_mp.service.program import take_name
from bitcoind_mp.service.standard import open_standard_streams
from bitcoind_mp.service.worker import raise_open_files, status_of

from . import handover, plan
from .announce import Announcer
from .app import Plans, Start, Supervisor
from .checks.files import Trial
from .manager import log
from .processes.asking import Questions
from .processes.process import keep_to_ourselves
from .upgrade import answer

#: Seconds that a service ends later by where there is no room: its manager tries again at once, but gives up one that
#: failed twenty times in five minutes (``systemd/bitcoind-mp.service``), and there may be room after that.
_UNTIL_THERE_IS_ROOM = 16.0


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str], plans: Plans = plan.units) -> int:
    """The exit status. ``plans`` says which units a configuration has."""
    open_standard_streams()
    if arguments[-2:] == ["reload", "--exec"]:
        return _upgrade(arguments[:-2])
    config = configuration.start(arguments, SUPERVISOR)
    if isinstance(config, int):
        return config
    is_asked = os.environ.get(handover.VARIABLE) == handover.CHECK
    if (is_asked or config.get_bool("checkconfig")) and (status := _check(config, plans)):
        return status
    if config.get_bool("checkconfig"):
        print("The configuration can be used.")
        return 0
    if is_asked:
        print(answer(dict.fromkeys(each.preload for each in plans(config) if each.preload)), flush=True)
        return 0
    take_name("bitcoind-mp")
    announcer = Announcer()
    try:
        handed = handover.taken(os.environ)
    except FatalError as error:
        return _failed(error, announcer)
    if config.get_bool("daemon") and handed is None:
        from .daemonize import go_to_background

        announcer = go_to_background(wait_until="ready" if config.get_bool("daemonwait") else "started")
    os.umask(0o077)
    keep_to_ourselves()
    environ = dict(os.environ)

    def reread() -> Config:
        found = configuration.load(arguments, SUPERVISOR, environ=environ)
        try:
            require_categories(found.get_list("debug"), found.get_list("debugexclude"))
        except ValueError as error:
            raise FatalError(str(error), status=ExitStatus.CONFIG) from None
        return found

    async def life() -> None:
        raise_open_files()
        await Supervisor(config, Start(environ, announcer, reread, plans, handed)).run()

    try:
        asyncio.run(life())
    except Exception as error:  # noqa: BLE001 (reported, with its traceback where it is a defect)
        status = _failed(error, announcer)
        if status == ExitStatus.DISK_FULL and environ.get("NOTIFY_SOCKET"):
            time.sleep(_UNTIL_THERE_IS_ROOM)
        return status
    return 0


def _check(config: Config, plans: Plans) -> int:
    """Have each unit's program say whether it could start; the first that couldn't says why. The exit status."""

    async def trial() -> None:
        await Trial(plans, Questions(os.environ)).run(config)

    try:
        asyncio.run(trial())
    except FatalError as error:
        print(f"Error: {error}", file=sys.stderr)
        return int(error.status)
    return 0


def _upgrade(arguments: list[str]) -> int:
    """``bitcoind-mp [options] reload --exec``: have the running supervisor become its new program. The exit status."""
    config = configuration.start(arguments, SUPERVISOR)
    if isinstance(config, int):
        return config
    from bitcoind_mp.ipc.wire.blocking import call

    path = str(config.socket_path("supervisor"))
    try:
        print(call(path, "upgrade"), flush=True)
        print(call(path, "upgraded"), flush=True)
    except RpcError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: no supervisor answers at {path}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _failed(error: Exception, announcer: Announcer) -> int:
    """Say what ended us, to the log and to whoever waits."""
    known = error if isinstance(error, FatalError) else _known(error)
    if log.hasHandlers():
        log.error("%s", known, exc_info=None if known is error else error)
    if not (log.hasHandlers() and stderr_is_journal(os.environ)):  # else the journal has it already
        print(f"Error: {known}", file=sys.stderr)
    announcer.failed(known)
    return int(known.status)


def _known(error: Exception) -> FatalError:
    """An error of the system's in words for a person; another's name."""
    status = status_of(error)
    if not isinstance(error, OSError) or error.strerror is None:
        return FatalError(repr(error), status=status)
    what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    hint = "Make room on the disk, then start it again." if status is ExitStatus.DISK_FULL else ""
    return FatalError(f"{what}.", hint=hint, status=status)


if __name__ == "__main__":
    main()
