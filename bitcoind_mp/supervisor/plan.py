"""What the configuration says about each unit: its command, its patience, its limits. Values only."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from bitcoind_mp.config import Config
from bitcoind_mp.config.instances import PREFIX, instance
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError

from .units.policy import Policy

#: In the order in which they stop: the wallet follows the node, and asks the signer.
STOP_ORDER = ("wallet", "signer", "node")
MIB = 1024 * 1024
#: Options that a person gives for one start: they wipe what the next starts need.
_ONCE = ("reindex", "reindex-chainstate")


@dataclass(frozen=True)
class Limits:
    """What a unit may use before it counts as unwell; 0 is no limit. ``memory`` in bytes, ``cpu`` in percent of
    one processor between two checks, ``files`` in open descriptors."""

    memory: int = 0
    cpu: int = 0
    files: int = 0


@dataclass(frozen=True)
class Plan:
    """One unit as configured. ``enabled`` is whether it starts with the supervisor; ``preload`` the package whose
    program a process keeps ready to fork it from, empty for none: then each start executes ``argv``. ``frugal`` is what
    is added to ``argv`` when it is to make do with less memory, and ``once`` what is left out of it once it has been
    ready; ``places`` are the directories that it works
    in, and ``wallet`` is the wallet that it serves alone. ``configuration`` is what the configuration files said
    (``config/texts.py``): it is handed that, since by its next start they may say something else. ``check`` is the
    command line that says whether it could start with that (-checkconfig), empty for a unit that isn't to start."""

    name: str
    argv: tuple[str, ...]
    policy: Policy
    limits: Limits = Limits()
    enabled: bool = True
    preload: str = ""
    frugal: tuple[str, ...] = ()
    once: tuple[str, ...] = ()
    places: tuple[Path, ...] = ()
    wallet: str | None = None
    configuration: str = "{}"
    check: tuple[str, ...] = ()

    @property
    def role(self) -> str:
        """What kind of worker it is: its name, but for one of several of a kind (``wallet@NAME``)."""
        return self.name.partition("@")[0]


@dataclass(frozen=True)
class HealthPlan:
    """How often to ask, how long to wait for the answer (seconds), after how many failures in a row a unit has
    failed, and the least free space (bytes)."""

    interval: float = 10.0
    timeout: float = 5.0
    patience: int = 3
    min_disk_free: int = 0


def units(config: Config) -> list[Plan]:
    """Every unit there is from the start, the node first. With -walletprocess=each the wallet's holds none open, and
    each wallet has another (`wallet_unit`)."""
    wallet = not config.get_bool("disablewallet")
    signer = [_unit(config, "signer", enabled=wallet)] if config.get_bool("signerprocess") else []
    return [_unit(config, "node"), *signer, _unit(config, "wallet", enabled=wallet)]


def wallets_apart(config: Config) -> bool:
    """Whether each wallet has a process of its own."""
    return config.get_str("walletprocess") == "each" and not config.get_bool("disablewallet")


def require_reloadable(now: Config, then: Config) -> None:
    """Raises FatalError: from one to the other takes a stop and a start."""
    for what, differs in (
        ("-walletprocess", wallets_apart(now) != wallets_apart(then)),
        ("Another network or data directory", now.network_dir != then.network_dir),
    ):
        if differs:
            raise FatalError(f"{what} takes a stop and a start to change.", status=ExitStatus.CONFIG)


def channels(config: Config) -> tuple[str, ...]:
    """The channels between workers that there are to be (``processes/private.py``)."""
    signer = ("signer",) if config.get_bool("signerprocess") else ()
    return ("node", *signer, *(("keeper",) if wallets_apart(config) else ()))


def wallet_unit(config: Config, wallet: str) -> Plan:
    """The unit that serves that wallet alone. Raises ValueError where its name makes none."""
    if "\0" in wallet:
        raise ValueError("A wallet's name has no NUL in it.")
    return replace(_unit(config, "wallet", f"-onlywallet={wallet}"), name=PREFIX + instance(wallet), wallet=wallet)


def _unit(config: Config, role: str, *more: str, enabled: bool = True) -> Plan:
    # Its output is a pipe to us, whatever we do with it: hence the last option. -P keeps the cwd off its path.
    if role == "wallet" and wallets_apart(config):
        more = (*more, f"-apart={config.socket_path('supervisor')}")
    arguments = (*config.worker_arguments(role), *more, "-printtoconsole=1")
    package = f"bitcoind_mp.{role}"
    argv = (sys.executable, "-P", "-m", package, *arguments)
    return Plan(
        role,
        argv,
        _policy(config, role),
        _limits(config, role),
        enabled,
        package if config.get_bool("preload") else "",
        ("-lowmemory=1",),
        tuple(each for each in arguments if each.lstrip("-").partition("=")[0] in _ONCE),
        (config.network_dir, config.wallets_dir),
        configuration=config.texts.to_hand_over(),
        check=(*argv, "-checkconfig") if enabled else (),
    )


def _policy(config: Config, name: str) -> Policy:
    return Policy(
        start_timeout=config.unit_number("starttimeout", name),
        stop_timeout=config.unit_number("stoptimeout", name),
        watchdog=config.unit_number("watchdog", name),
        restart=config.for_unit("restart", name),
        backoff_first=config.unit_number("restartdelay", name),
        backoff_cap=config.unit_number("restartmaxdelay", name),
        start_limit=int(config.unit_number("startlimit", name)),
        start_interval=config.unit_number("startlimitinterval", name),
    )


def _limits(config: Config, name: str) -> Limits:
    return Limits(
        memory=int(config.unit_number("maxrss", name)) * MIB,
        cpu=int(config.unit_number("maxcpu", name)),
        files=int(config.unit_number("maxfiles", name)),
    )


def health(config: Config) -> HealthPlan:
    """The health checks' part of the configuration."""
    return HealthPlan(
        interval=config.get_seconds("healthinterval"),
        timeout=config.get_seconds("healthtimeout"),
        min_disk_free=config.get_int("mindiskfree") * MIB,
    )
