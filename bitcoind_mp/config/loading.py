"""From a command line to a `Config`: the order in which things are read, and what stops it.

Core's order (``src/common/init.cpp``): command line, data directory, configuration file, network. A configuration
file may move the data directory, not itself. What Core reads besides, settings.json, is written by the wallet's
process, which somebody may have broken into: it is no source of options here, and read by that process alone.
"""

import os
import sys

from .chains import CHAINS, SELECTORS
from .configuration import Config
from .grammar import ConfigFile, Refused, is_text, parse_command_line, read_files, refuse_unknown
from .option import CLI, UNITS, interpret_flag
from .options import TABLE
from .settings import Settings
from .texts import Texts, handed_over

HELP = ("help", "h", "?", "help-debug")


def load(arguments: "list[str]", program: str, *, environ: "dict[str, str] | None" = None) -> Config:
    """The configuration of ``program`` (one of `option.PROGRAMS`) started with ``arguments`` (without argv[0]).

    Raises:
        FatalError: status CONFIG; one line that names the option.
    """
    try:
        return _load(arguments, program, environ if environ is not None else dict(os.environ))
    except Refused as refused:
        from bitcoind_mp.interfaces.errors import ExitStatus, FatalError

        raise FatalError(str(refused), hint=refused.hint, status=ExitStatus.CONFIG) from None


def start(arguments: "list[str]", program: str) -> "Config | int":
    """`load` for a ``__main__``: the configuration, or the exit status once help, version or the refusal is printed."""
    try:
        config = _load(arguments, program, dict(os.environ))
    except Refused as refused:
        print(f"Error: {refused} {refused.hint}".rstrip(), file=sys.stderr)
        return 78  # ExitStatus.CONFIG; interfaces.errors costs the one-shot path too much
    if any(config.is_set(name) for name in HELP) or config.get_bool("version"):
        from .help import help_text, version_text

        return show(version_text(program) if config.get_bool("version") else help_text(config))
    if program != CLI:
        for warning in config.warnings:
            print(f"Warning: {warning}", file=sys.stderr)
    return config


def show(text: str) -> int:
    """Print what was asked for and nothing else; the exit status."""
    try:
        print(text, end="", flush=True)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            print(f"error: could not write the answer: {error.strerror}", file=sys.stderr)
        # Keep the interpreter from complaining at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def working_directory() -> str:
    """Where relative paths count from. A daemon's may have been removed since it was started: such paths lead nowhere
    then, but with absolute ones its workers can be started all the same."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "/"


def _load(arguments: "list[str]", program: str, environ: "dict[str, str]") -> Config:
    settings = Settings()
    rest = parse_command_line(arguments, program, settings)
    if rest and program != CLI:
        raise Refused(f"Command line contains unexpected token '{rest[0]}', see {program} -h for a list of options.")
    cwd = working_directory()
    asked_for_text = any(name in settings.command_line for name in (*HELP, "version"))
    datadir = _datadir(settings, cwd, environ)
    config_file = _config_file(settings, datadir)
    texts = _texts(program, environ)
    files: list[ConfigFile] = []
    if config_file and not asked_for_text:
        if "conf" in settings.command_line or texts.has(config_file):
            base = datadir
            files = read_files(
                config_file, program, settings, texts, lambda name: os.path.join(base, name), lambda: _chain(settings)
            )
        datadir = _datadir(settings, cwd, environ)
    chain = _chain(settings)
    if program != CLI:  # which, as bitcoin-cli, reads on: whoever edits the file must still reach what runs
        refuse_unknown(files, program, chain)
    return Config(
        program,
        settings,
        chain=chain,
        datadir=datadir,
        config_file=config_file,
        texts=texts,
        arguments=rest,
        warnings=_warnings(settings, chain, files),
        cwd=cwd,
        options=arguments[: len(arguments) - len(rest)],
    )


def _texts(program: str, environ: "dict[str, str]") -> Texts:
    """The files as they are on disk, or as a supervisor handed them to its worker. Raises `Refused`."""
    if program not in UNITS.values():
        return Texts()
    try:
        return Texts(handed_over(environ))
    except (OSError, ValueError) as error:
        raise Refused(f"The configuration that was handed over could not be read: {error}.") from None


def _datadir(settings: Settings, cwd: str, environ: "dict[str, str]") -> str:
    """The data directory now; one that was named must exist (Core's CheckDataDirOption)."""
    named = settings.one("datadir", "")
    if not named:
        home = environ.get("HOME")
        if home is None:
            home = os.path.expanduser("~")
        path = os.path.join(home or "/", ".bitcoind-mp")
    else:
        path = os.path.normpath(os.path.join(cwd, str(named)))
    if not is_text(path):
        raise Refused(f'The name of the data directory "{path}" is not UTF-8.', "Choose another with -datadir.")
    if named and not os.path.isdir(path):
        raise Refused(f'Specified data directory "{named}" does not exist.', "Make it, or drop -datadir.")
    return path


def _config_file(settings: Settings, datadir: str) -> str:
    value = settings.one("conf", "")
    if value is False:
        return ""
    # -noconf=0 is the text 1, as everywhere.
    return os.path.normpath(os.path.join(datadir, "1" if value is True else value or "bitcoin.conf"))


def _chain(settings: Settings) -> str:
    """The network chosen (Core's GetChainArg). Raises `Refused`."""
    chosen = []
    named = settings.one("chain", "")
    if isinstance(named, str):
        chosen.append(named)
    for selector, chain in SELECTORS.items():
        value = settings.one(selector, "", selects_chain=True)
        if value is True or (isinstance(value, str) and interpret_flag(value)):
            chosen.append(chain)
    if len(chosen) > 1:
        raise Refused("Invalid combination of -regtest, -signet, -testnet, -testnet4 and -chain. Can use at most one.")
    return chosen[0] if chosen else "main"


def _warnings(settings: Settings, chain: str, files: "list[ConfigFile]") -> "list[str]":
    """Lines about what a file says to no effect (Core's AppInitParameterInteraction)."""
    result = []
    if chain != "main":
        for option in TABLE:
            if option.network_only and settings.only_in_default_section(option.name, chain):
                result.append(
                    f"Config setting for -{option.name} only applied on {chain} network when in [{chain}] section."
                )
    for file in files:
        for section, line in file.sections:
            if section not in CHAINS:
                result.append(f"{file.path}:{line} Section [{section}] is not recognized.")
    return result
