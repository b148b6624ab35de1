"""What a unit's processes are handed: environment, descriptors, standard output. What is then made of it is
``process.py``'s.
"""

import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bitcoind_mp.interfaces.channels import CONFIGURATION
from bitcoind_mp.supervisor.output.logs import Pump
from bitcoind_mp.supervisor.plan import Plan

from .private import Private
from .process import Command, command

#: Where passphrases may lie (systemd.exec(5)): told to the signer alone where there is one, else to the wallet.
_PASSPHRASES = "CREDENTIALS_DIRECTORY"
#: memfd_create(2): not to be executed, Linux 6.3 and later, which may insist on it.
_NOEXEC_SEAL = 0x8
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


@dataclass(frozen=True)
class Equipment:
    """``private`` is what only some are handed; ``notify`` the value of NOTIFY_SOCKET; ``journal`` whether their lines
    become the journal's entries."""

    environ: Mapping[str, str]
    private: Private
    notify: str
    journal: bool

    def environ_of(self, plan: Plan, *, with_signer: bool) -> dict[str, str]:
        """What a unit's processes are told, and those that they are forked from: /proc shows that of a fork, too."""
        holder = "signer" if with_signer else "wallet"
        return {name: value for name, value in self.environ.items() if name != _PASSPHRASES or plan.role == holder}

    def command(self, plan: Plan, listener: int | None, pump: Pump, *, with_signer: bool) -> Command:
        """Everything about a start. ``listener`` is the listening socket's descriptor; ``pump`` takes the output.

        Raises OSError.
        """
        fds = [(plan.role, listener)] if listener is not None else []
        fds += self.private.of(plan.name)
        with sealed(plan.configuration) as configuration:
            made = command(
                plan.argv,
                self.environ_of(plan, with_signer=with_signer),
                fds=[*fds, (CONFIGURATION, configuration)],
                output=pump.writer,
                notify=self.notify,
                watchdog=plan.policy.watchdog,
            )
        if not self.journal:
            return made
        return replace(made, environment={**made.environment, "JOURNAL_STREAM": pump.journal_stream()})


@contextmanager
def sealed(text: str) -> Iterator[int]:
    """A file without a path that says that, and that nobody can change any more, whoever is handed it or finds it below
    /proc. Raises OSError."""
    descriptor = _memory()
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(text.encode())
        os.fchmod(descriptor, 0o400)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        yield descriptor
    finally:
        os.close(descriptor)


def _memory() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(CONFIGURATION, flags | _NOEXEC_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.memfd_create(CONFIGURATION, flags)
