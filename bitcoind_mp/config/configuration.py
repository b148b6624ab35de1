"""`Config`: what was set, as typed values, and the paths that follow from it.

What belongs here: answers. What doesn't: reading the command line and files (`loading`). Reading never fails:
every value was checked when it was read.
"""

import os
import os.path

from .chains import CHAINS
from .option import CLI, FLAG, NODE, SIGNER, SUPERVISOR, UNITS, WALLET, Option, interpret_flag
from .options import BY_NAME
from .settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from .texts import Texts

#: What each program is called on sockets, in file names and by the supervisor.
ROLES = {SUPERVISOR: "supervisor", NODE: "node", WALLET: "wallet", SIGNER: "signer", CLI: "cli"}


class Config:
    """One program's configuration.

    ``chain`` is Core's name of the network: main, test, testnet4, signet, regtest. ``arguments`` is what follows
    the options on the command line. ``warnings`` are lines for the log: settings that have no effect.
    ``config_file`` is the configuration file's path, empty with -noconf, whether or not it exists; ``texts`` what it
    and those that it includes said.
    """

    def __init__(
        self,
        program: str,
        settings: Settings,
        *,
        chain: str,
        datadir: str,
        config_file: str,
        texts: "Texts",
        arguments: "list[str]",
        warnings: "list[str]",
        cwd: str,
        options: "list[str]",
    ) -> None:
        self.program = program
        self.role = ROLES[program]
        self.chain = chain
        self.config_file = config_file
        self.texts = texts
        self.arguments = arguments
        self.warnings = warnings
        self._settings = settings
        self._datadir = datadir
        self._network = os.path.join(datadir, CHAINS[chain].directory) if CHAINS[chain].directory else datadir
        self._cwd = cwd
        self._options = options
        self._forced: dict[str, bool] = {}
        self._interact()

    # Values

    def is_set(self, name: str) -> bool:
        """Whether anybody set it, be it to nothing or by negation (Core's IsArgSet)."""
        return self._one(name) is not None

    def is_negated(self, name: str) -> bool:
        """Whether it was given as ``-noname`` (Core's IsArgNegated)."""
        return self._one(name) is False

    def get_bool(self, name: str) -> bool:
        """A flag, or its default."""
        value = self._one(name)
        if value is None:
            return self._forced.get(name, bool(BY_NAME[name].default))
        return value if isinstance(value, bool) else interpret_flag(value)

    def get_int(self, name: str) -> int:
        """A whole number, or its default; 0 where it was negated."""
        return int(self._number(name))

    def get_seconds(self, name: str) -> float:
        """A time in seconds, or its default; 0 where it was negated."""
        return float(self._number(name))

    def get_amount(self, name: str) -> int:
        """An amount in satoshis, or a feerate in sat/kvB. -1 where the option takes -1 and it was given."""
        value = self._one(name)
        text = str(BY_NAME[name].default) if value is None else "0" if value is False else str(value)
        return int(BY_NAME[name].read(text))

    def get_str(self, name: str, default: str = "") -> str:
        """Its text, else the option's default, else ``default``; empty where it was negated."""
        value = self._one(name)
        if value is None:
            own = BY_NAME[name].default
            return default if own is None else str(own)
        return "" if value is False else "1" if value is True else value

    def get_list(self, name: str) -> "list[str]":
        """Every value of an option that may be given more than once, in order; empty where negated."""
        return self._many(name, [])

    def get_paths(self, name: str) -> "list[str]":
        """The same as absolute paths, each from what the option's relative paths are relative to."""
        return [self._resolve(BY_NAME[name], text) for text in self.get_list(name)]

    def for_unit(self, name: str, unit: str) -> str:
        """The text of a ``[<unit>:]<value>`` option for that unit: the last that names the unit, else the last that
        names none, else the default. Use `unit_number` for numbers."""
        option = BY_NAME[name]
        general = str(option.default)
        own = None
        for text in self.get_list(name):
            which, value = option.split_unit(text)
            if which == unit:
                own = value
            elif not which:
                general = value
        return general if own is None else own

    def unit_number(self, name: str, unit: str) -> float:
        """The same as a number."""
        return float(self.for_unit(name, unit))

    # Paths

    @property
    def datadir(self) -> "Path":
        """The data directory, above the networks'."""
        return _path(self._datadir)

    @property
    def network_dir(self) -> "Path":
        """This network's directory: the data directory on main, below it elsewhere (regtest, testnet4, …)."""
        return _path(self._network)

    @property
    def run_dir(self) -> "Path":
        """Where sockets and the tables of commands are."""
        return _path(self.run_path())

    @property
    def log_dir(self) -> "Path":
        """Where the supervisor writes one log file a unit."""
        return _path(os.path.join(self._network, "logs"))

    @property
    def wallets_dir(self) -> "Path":
        """-walletdir, else ``wallets`` in the network's directory."""
        if self.get_str("walletdir"):
            return _path(self._resolve(BY_NAME["walletdir"], self.get_str("walletdir")))
        return _path(os.path.join(self._network, "wallets"))

    @property
    def settings_file(self) -> "Path":
        """Core's dynamic settings: a JSON object, of which the wallet's process reads ``wallet`` (names to load at
        start), and nobody anything else."""
        return _path(os.path.join(self._network, "settings.json"))

    @property
    def pid_file(self) -> "Path | None":
        """-pid, None with -nopid."""
        name = self.get_str("pid")
        return _path(self._resolve(BY_NAME["pid"], name)) if name else None

    @property
    def network_path(self) -> str:
        """`network_dir` as text."""
        return self._network

    def run_path(self, name: str = "") -> str:
        """A file in the run directory, as text: what the one-shot path uses."""
        return os.path.join(self._network, "run", name) if name else os.path.join(self._network, "run")

    def socket_path(self, role: str) -> "Path":
        """The socket of ``supervisor``, ``node``, ``wallet`` or ``signer``: this process's own by -ipcbind, another's
        by -ipcconnect=unix:PATH where that is the wallet's node, else the default one."""
        return _path(self.socket_name(role))

    def socket_name(self, role: str) -> str:
        """`socket_path` as text."""
        address = "unix"
        if role == self.role:
            address = self.get_str("ipcbind")
        elif self.program == WALLET and role == "node":
            address = self.get_str("ipcconnect")
        if address.startswith("unix:"):
            return os.path.join(self._network, address[5:])
        return self.run_path((self.instance if role == self.role else role) + ".sock")

    @property
    def wallets_door(self) -> "Path":
        """Where wallets reach the signer, whom the supervisor gave no other way."""
        return _path(self.run_path(os.path.join("signer", "wallet.sock")))

    @property
    def instance(self) -> str:
        """What this process's files are called: its role; with -onlywallet ``wallet@NAME``, the name as in a unit's."""
        only = self.only_wallet
        if only is None:
            return self.role
        from .instances import PREFIX, instance

        return PREFIX + instance(only)

    @property
    def only_wallet(self) -> "str | None":
        """-onlywallet: the one wallet that this process serves, None for any."""
        return self.get_str("onlywallet") if self.program == WALLET and self.is_set("onlywallet") else None

    def wallets_named(self, marked: "list[str]") -> "list[str]":
        """The wallets to load at the start: those of -wallet and those ``marked`` load_on_startup."""
        return list(dict.fromkeys(self._many("wallet", marked)))

    def wallets_to_load(self, marked: "list[str]") -> "list[str]":
        """The same; where none is named the one without a name, if it is there."""
        named = self.wallets_named(marked)
        if named or self.is_negated("wallet"):
            return named
        from .instances import WALLET_FILE

        return [""] if os.path.isfile(os.path.join(self.wallets_dir, WALLET_FILE)) else []

    @property
    def ipc_connect(self) -> "tuple[str, str]":
        """How to connect: (``auto``, ""), (``0``, ""), (``unix``, "") or (``unix``, PATH)."""
        mode, _, path = self.get_str("ipcconnect").partition(":")
        return mode or "0", os.path.join(self._network, path) if path else ""

    def make_directories(self) -> None:
        """Make this network's directory and what every process expects in it, for the owner alone; ``run/`` is closed
        to strangers whatever it was. With -ipcgroup the group's members may pass through to the sockets, and read
        nothing; a directory that everybody may pass through already stays as it is.

        Raises OSError.
        """
        for directory in (self._datadir, self._network, os.path.join(self._network, "wallets"), self.run_path()):
            os.makedirs(directory, mode=0o700, exist_ok=True)
        mode = os.stat(self.run_path()).st_mode & 0o7777
        if mode & 0o007:
            os.chmod(self.run_path(), mode & ~0o007)
        group = _group_id(self.get_str("ipcgroup"))
        if group is not None:
            for directory in (self._datadir, self._network, self.run_path()):
                _let_through(directory, group)

    # Supervision

    def worker_arguments(self, role: str) -> "list[str]":
        """The options that the supervisor starts the worker ``node``, ``wallet`` or ``signer`` with."""
        return self.arguments_for(UNITS[role])

    def arguments_for(self, program: str) -> "list[str]":
        """The options to start another of our programs with: the same directory and file, and of this command line
        what that program takes. Paths are absolute: its cwd may be another."""
        result = [f"-datadir={self._datadir}"] if self.is_set("datadir") or os.path.isdir(self._datadir) else []
        if not self.config_file:
            result.append("-noconf")
        elif self.config_file in self.texts.by_name:
            result.append(f"-conf={self.config_file}")
        for argument in self._options:
            key, equals, text = argument.lstrip("-").partition("=")
            option = BY_NAME.get(key) or BY_NAME[key.removeprefix("no")]
            if program not in option.programs or option.name in ("datadir", "conf", "ipcbind"):
                continue
            if equals and text and option.base == "cwd" and option.name == key:
                text = self._resolve(option, text)
            result.append(f"-{key}{equals}{text}")
        return result

    def _interact(self) -> None:
        """Options that change another's default (Core's InitParameterInteraction)."""
        if self.get_list("bind") or self.get_list("whitebind"):
            self._forced["listen"] = True
        elif self.get_list("connect") or self.is_negated("connect"):
            self._forced["listen"] = False
        if self.get_bool("daemonwait"):
            self._forced["daemon"] = True
        self._forced["printtoconsole"] = not self.get_bool("daemon")
        if self.get_bool("blocksonly"):
            self._forced["walletbroadcast"] = self._forced["whitelistrelay"] = False
        elif self.get_bool("whitelistforcerelay"):
            self._forced["whitelistrelay"] = True

    def _ignores_default(self, option: Option) -> bool:
        return option.network_only and self.chain != "main"

    def _one(self, name: str) -> "str | bool | None":
        return self._settings.one(name, self.chain, ignore_default_section=self._ignores_default(BY_NAME[name]))

    def _many(self, name: str, dynamic: "list[str]") -> "list[str]":
        ignores_default = self._ignores_default(BY_NAME[name])
        values = self._settings.many(name, self.chain, ignore_default_section=ignores_default, dynamic=[*dynamic])
        return ["1" if value is True else "0" if value is False else value for value in values]

    def _number(self, name: str) -> "int | float":
        value = self._one(name)
        option = BY_NAME[name]
        if value is None:
            if name == "port":
                return CHAINS[self.chain].p2p_port
            assert option.default is not None and option.kind != FLAG, f"-{name} has no number for a default"
            return float(option.default)
        if value is False:
            return 0
        number = option.read("1" if value is True else value)
        assert not isinstance(number, str)
        return number

    def _resolve(self, option: Option, text: str) -> str:
        base = {"cwd": self._cwd, "datadir": self._datadir, "network": self._network}.get(option.base, "")
        return os.path.normpath(os.path.join(base, text)) if base else text


def _group_id(name: str) -> "int | None":
    """None where no group is named, and for one that doesn't exist: whoever binds the sockets refuses it."""
    if not name:
        return None
    if name.isdigit():
        return int(name)
    from grp import getgrnam

    try:
        return getgrnam(name).gr_gid
    except KeyError:
        return None


def _let_through(directory: str, group: int) -> None:
    """What the directory's own group could do there was not meant for another one: nothing of it is handed on."""
    found = os.stat(directory)
    mode = found.st_mode & 0o7777
    if mode & 0o011 == 0o011 or (found.st_gid == group and mode & 0o010):
        return
    if found.st_gid != group:
        os.chown(directory, -1, group)
        mode &= ~0o070
    os.chmod(directory, mode | 0o010)


def _path(text: str) -> "Path":
    from pathlib import Path

    return Path(text)
