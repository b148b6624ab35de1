"""A real worker, ``node``, ``wallet`` or ``signer``, with one command more: it runs code inside the process, as
somebody could who has broken into it. ``probed.py ROLE OPTIONS…``. With ``$NO_LANDLOCK``, on a kernel that has none."""

import ctypes
import errno
import os
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from bitcoind_mp.interfaces.command import command
from bitcoind_mp.service.worker import Host

_ALLOW, _NO_SUCH_CALL = 0x7FFF0000, 0x00050000 | errno.ENOSYS


class Intruder:
    @command("control", hidden=True)
    def intrude(self, code: str, thread: bool = False) -> str:
        """Runs code; "done", or what it raised.

        Args:
            code: Python
            thread: Whether a new thread runs it

        Returns:
            What became of it
        """
        found: list[str] = []

        def run() -> None:
            names: dict[str, Any] = {"ctypes": ctypes, "os": os, "Path": Path}
            try:
                exec(code, names)
            except Exception as error:  # noqa: BLE001 (it is what the test wants to know)
                found.append(f"{type(error).__name__}: {error}")
            else:
                found.append(str(names.get("result", "done")))

        if thread:
            runner = threading.Thread(target=run)
            runner.start()
            runner.join()
        else:
            run()
        return found[0]


def hide_landlock() -> None:
    """As on a kernel without it."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    number = library.seccomp_syscall_resolve_name(b"landlock_create_ruleset")
    assert library.seccomp_rule_add_array(context, ctypes.c_uint32(_NO_SUCH_CALL), number, 0, None) == 0
    assert library.seccomp_load(context) == 0


def main() -> None:
    role = sys.argv.pop(1)
    if os.environ.get("NO_LANDLOCK"):
        hide_landlock()
    if role == "node":
        from bitcoind_mp.node import __main__ as program
        from bitcoind_mp.node import service as module

        kind: Any = module.NodeService
    elif role == "signer":
        from bitcoind_mp.signer import __main__ as program  # type: ignore[no-redef]
        from bitcoind_mp.signer import service as module  # type: ignore[no-redef]

        kind = module.SignerService
    else:
        from bitcoind_mp.wallet import __main__ as program  # type: ignore[no-redef]
        from bitcoind_mp.wallet import service as module  # type: ignore[no-redef]

        kind = module.WalletService

    module.NodeService = module.WalletService = module.SignerService = entered(kind, role)  # type: ignore[attr-defined,misc,assignment]
    if role == "wallet":
        from bitcoind_mp.wallet.separate import keeper_service

        keeper_service.KeeperService = entered(keeper_service.KeeperService, role)  # type: ignore[misc]
    program.main()


def entered(kind: Any, role: str) -> Any:
    """That service with an intruder in it."""

    class Entered(kind):  # type: ignore[misc]
        async def start(self, host: Host) -> None:
            await super().start(host)
            (self._servers[0] if role == "signer" else self._server).add(Intruder())

    return Entered


if __name__ == "__main__":
    main()
