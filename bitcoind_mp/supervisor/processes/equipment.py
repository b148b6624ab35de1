"""What a unit's processes are handed: environment, descriptors, standard output. What is then made of it is
``process.py``'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bitcoind_mp.supervisor.output.logs import Pump
from bitcoind_mp.supervisor.plan import Plan

from .private import Private
from .process import Command, command

#: Where passphrases may lie (systemd.exec(5)): told to the signer alone where there is one, else to the wallet.
_PASSPHRASES = "CREDENTIALS_DIRECTORY"


@dataclass(frozen=True)
class Equipment:
    """``lifeline`` is the descriptor whose end of file says that we are gone, None for workers that are to live on;
    ``private`` what only some are handed; ``notify`` the value of NOTIFY_SOCKET; ``journal`` whether their lines become
    the journal's entries."""

    environ: Mapping[str, str]
    lifeline: int | None
    private: Private
    notify: str
    journal: bool

    def environ_of(self, plan: Plan, *, with_signer: bool) -> dict[str, str]:
        """What a unit's processes are told, and those that they are forked from: /proc shows that of a fork, too."""
        holder = "signer" if with_signer else "wallet"
        return {name: value for name, value in self.environ.items() if name != _PASSPHRASES or plan.role == holder}

    def command(self, plan: Plan, listener: int | None, pump: Pump, *, with_signer: bool) -> Command:
        """Everything about a start. ``listener`` is the listening socket's descriptor; ``pump`` takes the output."""
        fds = [(plan.role, listener)] if listener is not None else []
        fds += self.private.of(plan.name)
        fds += [("lifeline", self.lifeline)] if self.lifeline is not None else []
        made = command(
            plan.argv,
            self.environ_of(plan, with_signer=with_signer),
            fds=fds,
            output=pump.writer,
            notify=self.notify,
            watchdog=plan.policy.watchdog,
        )
        if not self.journal:
            return made
        return replace(made, environment={**made.environment, "JOURNAL_STREAM": pump.journal_stream()})
