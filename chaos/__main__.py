"""`python -m chaos --seconds N --seed N`: run, check, report. Exits 0 only where everything held."""

import argparse
import random
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

from bitcoind_mp.interfaces.errors import CallTimeout, RpcError

from . import report
from .checks import all_checks
from .daemon import OPTIONS, Daemon, GaveUpError, wait_until
from .damage import damages
from .disk import SmallDisk
from .evidence import gather
from .faults import Fault, NotPossibleError, shuffled, signals
from .frontends import RefusedError, SingleCommand, Socket, UnknownError, UnreachableError
from .lifecycle import operations
from .load import PASSPHRASE, Actor, Miner, Payer, Reader
from .record import Record
from .terminal import Shell

#: "guarded" has its keys in the signer.
WALLETS = ("alice", "bob", "carol", "dave", "guarded")

#: With a process for each wallet: the option, and those of them that faults are for.
APART, APART_UNITS = "-walletprocess=each", ("wallet@alice", "wallet@guarded")

RECOVERED = "every fault was recovered from"
#: Seconds that a thread of the load has to end once it is told to.
LONGEST_CALL = 100.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def furnish(daemon: Daemon) -> list[str]:
    """Wallets with money; an address of each."""
    homes, person = [], SingleCommand(daemon)
    for name in WALLETS:
        passphrase = PASSPHRASE if name == "guarded" else ""
        person.call(None, "createwallet", name, "false", "false", passphrase, "false", "true", "true")
        homes.append(daemon.ask("wallet", "getnewaddress", "mined", wallet=name))
        daemon.ask("node", "generatetoaddress", 6, homes[-1])
    person.call("guarded", "walletpassphrase", PASSPHRASE, 100_000)
    daemon.ask("node", "generatetoaddress", 100, homes[0])
    return homes


def actors(daemon: Daemon, homes: list[str], record: Record, chance: random.Random) -> list[Actor]:
    """The load: each front end pays."""

    def seed() -> int:
        return chance.randrange(2**32)

    return [
        Payer("alice", "bob", Socket(daemon, "wallet"), daemon, record, seed()),
        Payer("bob", "alice", Socket(daemon, "wallet"), daemon, record, seed()),
        Payer("carol", "dave", SingleCommand(daemon), daemon, record, seed()),
        Payer("dave", "carol", Shell(daemon), daemon, record, seed()),
        Payer("guarded", "alice", Socket(daemon, "wallet"), daemon, record, seed()),
        Payer("alice", "guarded", Socket(daemon, "wallet"), daemon, record, seed()),
        Miner(homes, daemon, record, seed()),
        Reader(WALLETS, SingleCommand(daemon), daemon, record, seed()),
    ]


class Run:
    """One run: ``injected`` is what was done so far."""

    def __init__(self, daemon: Daemon, faults: list[Fault], chance: random.Random) -> None:
        self.daemon = daemon
        self.faults = faults
        self.chance = chance
        self.injected: list[report.Injected] = []

    def go_on_for(self, seconds: float) -> None:
        """Faults, one after the other as soon as everything has recovered; each once before any comes again. Raises
        GaveUpError where something doesn't recover."""
        begun = time.monotonic()
        deck: list[Fault] = []
        while time.monotonic() - begun < seconds:
            deck = deck or shuffled(self.faults, self.chance)
            fault = deck.pop()
            since = time.monotonic() - begun
            print(f"{since:6.1f} s  {len(self.injected) + 1:4}. {fault!s:50}", end=" ", flush=True)
            self.injected.append(self.inject(fault))
            done = self.injected[-1]
            print(done.why_not or f"recovered in {done.recovered:.2f} s", flush=True)
            time.sleep(self.chance.uniform(0.0, 0.6))

    def inject(self, fault: Fault) -> report.Injected:
        try:
            fault.apply(self.daemon, self.chance)
            why_not = ""
        except NotPossibleError as error:
            why_not = str(error)
        except (ConnectionError, ProcessLookupError, FileNotFoundError, CallTimeout) as error:
            why_not = f"it was gone already ({type(error).__name__})"
        ended = time.monotonic()
        self.until_well(fault)
        return report.Injected(fault.kind, fault.target, None if why_not else time.monotonic() - ended, why_not)

    def until_well(self, fault: Fault) -> None:
        why = ""

        def well() -> bool:
            nonlocal why
            why = self.daemon.why_unwell(WALLETS)
            return not why

        try:
            wait_until("everything serves again", well)
        except GaveUpError as error:
            raise GaveUpError(f"{fault}: {error}: {why}") from None


def run(directory: Path, disk: SmallDisk | None, seconds: float, seed: int, *, only: str, each: bool) -> bool:
    """Whether everything held. Nothing runs any more when this returns."""
    port = free_port()
    more, options = (APART_UNITS, (*OPTIONS, APART)) if each else ((), OPTIONS)
    daemon = Daemon(directory / "data", *options, f"-bind=127.0.0.1:{port}", f"-port={port}")
    every = [*signals(more), *damages(disk, port, more), *operations(more)]
    chance, record = random.Random(seed), Record()
    this = Run(daemon, [fault for fault in every if only in str(fault)], chance)
    try:
        checks = under_fire(this, record, seconds)
        print("\nThe load has ended; checking.\n", flush=True)
        if not checks[RECOVERED]:
            checks |= looked_at(daemon, record, directory / "anew")
    finally:
        daemon.kill_everything()
    faults, calls = report.faults_table(this.injected), report.calls_table(record)
    for lines in (faults, calls, report.totals(this.injected, record, seconds), report.checks_table(checks)):
        print("\n".join(lines) + "\n")
    return not any(checks.values())


def under_fire(this: Run, record: Record, seconds: float) -> dict[str, list[str]]:
    """The load and the faults, to their end; what is known of them by themselves."""
    acting: list[Actor] = []
    problem = []
    try:
        this.daemon.start("-daemonwait")
        acting = actors(this.daemon, furnish(this.daemon), record, this.chance)
        for actor in acting:
            actor.start()
        this.go_on_for(seconds)
    except (GaveUpError, RefusedError, UnreachableError, UnknownError, RpcError, OSError) as error:
        problem.append(f"{type(error).__name__}: {error}")
    finally:
        for actor in acting:
            actor.done.set()
    for actor in acting:
        actor.join(LONGEST_CALL)
    return {
        RECOVERED: problem,
        "every failed call is accounted for": record.unexpected,
        "every thread of the load came to its end": [actor.name for actor in acting if actor.is_alive()],
    }


def looked_at(daemon: Daemon, record: Record, anew: Path) -> dict[str, list[str]]:
    """All checks."""
    try:
        return all_checks(record.payments, record.blocks, gather(daemon, WALLETS, anew))
    except (GaveUpError, RpcError, OSError) as error:
        return {"everything could be looked at": [f"{type(error).__name__}: {error}"]}


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long the load runs (default: 600)")
    parser.add_argument("--seed", type=int, default=None, help="of what is done when (default: another each time)")
    parser.add_argument("--only", default="", help="only the faults whose line contains this")
    parser.add_argument("--each", action="store_true", help="with a process for each wallet (-walletprocess=each)")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10**6)
    directory = Path(tempfile.mkdtemp(prefix="bitcoind-mp-chaos-"))
    (directory / "data").mkdir()
    disk = SmallDisk.mounted(directory / "data")
    print(f"chaos: {given.seconds:.0f} s, SEED={seed}; disk full by {'a tmpfs' if disk else 'RLIMIT_FSIZE alone'}\n")
    held = False
    try:
        held = run(directory, disk, given.seconds, seed, only=given.only, each=given.each)
    finally:
        if disk is not None and not held:
            shutil.copytree(directory / "data", directory / "kept", symlinks=True, ignore=_sockets)
        if disk is not None:
            disk.unmount()
        if held:
            shutil.rmtree(directory)
        else:
            again = f"make chaos SECONDS={given.seconds:.0f} SEED={seed}{' EACH=1' if given.each else ''}"
            print(f"What is left of it is kept in {directory}. Again: {again}")
    return 0 if held else 1


def _sockets(directory: str, names: list[str]) -> list[str]:
    """What copying stumbles over."""
    return [name for name in names if not (Path(directory) / name).is_file() and not (Path(directory) / name).is_dir()]


if __name__ == "__main__":
    sys.exit(main())
