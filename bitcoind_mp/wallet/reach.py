"""What the wallet's process reaches once it serves: wallets, and the others over the channels that it was handed."""

from collections.abc import Iterable
from pathlib import Path

from bitcoind_mp.config import Config
from bitcoind_mp.config.chains import CHAINS
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError, status_of_os_error
from bitcoind_mp.sandbox import Confinement, Mode, Protections, confine
from bitcoind_mp.sandbox.places import keep_in
from bitcoind_mp.service.corelock import kept_out, require_no_core

from .storage.carrier import Carrier, Direct
from .storage.directory import Directory
from .storage.porter import hire

#: Files and directories of a network's that others than the wallet read.
_NOT_FOR_BACKUPS = (
    "blocks", "chainstate", "indexes", "mempool", "coins-base", "run", "logs", "signer", "block-journal.dat",
    "mempool.dat", "fee_estimates.dat", "peers.dat", "anchors.dat", "settings.json",
)  # fmt: skip


def own_directory(config: Config) -> Path:
    """Where the process keeps what isn't a wallet: wherever -walletdir is, this is in the network's directory."""
    return config.network_dir / "wallets"


def prepare(config: Config) -> None:
    """Make what can't be made any more from within. Raises OSError; FatalError where Bitcoin Core is at those files."""
    with kept_out(config.network_dir):
        keep_in(own_directory(config), config.settings_file)


def closed_to_backups(config: Config) -> tuple[Path, ...]:
    """Of the data directory, what is the node's and the processes' own, on whichever network."""
    networks = {config.network_dir, *(config.datadir / chain.directory for chain in CHAINS.values())}
    return tuple(directory / name for directory in sorted(networks) for name in _NOT_FOR_BACKUPS)


def deadlines_file(config: Config) -> Path:
    """Where it is kept until when wallets may be unlocked: a process that reaches one wallet alone has it there."""
    if config.only_wallet is not None and config.is_set("apart"):
        return config.wallets_dir / config.only_wallet / "unlocked.json"
    return own_directory(config) / f"{config.instance}-unlocked.json"


def everywhere() -> Confinement:
    """For the process that carries backups: files, and nothing else."""
    return Confinement(write=(Path("/"),))


def confinement_to_one(config: Config, wallet: str, credential: Path | None, *, connects: bool) -> Confinement:
    """The same for a process that serves one wallet, whose directory is there. ``credential``: the file with its
    passphrase; ``connects``: as for `confinement`. (The wallet without a name lies among the others' directories.)"""
    return Confinement(
        read=(credential,) if credential is not None else (),
        write=(config.wallets_dir / wallet,),
        apart=(config.network_dir / "blocks", config.network_dir / "chainstate"),
        unix=connects,
    )


def confinement(
    config: Config,
    names: Iterable[str],
    bound: Path | None = None,
    credentials: Path | None = None,
    *,
    connects: bool,
) -> Confinement:
    """No internet, and of the node's files none. ``names``: wallets that may lie elsewhere, as the command line and
    bitcoin.conf name them, and never a file that this process, or who broke into it, can write.
    ``bound``: the socket that this process made and will remove again, where it runs alone; one elsewhere stays.
    ``credentials``: where passphrases are that the service manager handed over. ``connects``: whether it must reach
    others by their paths; it may then call every Unix socket that its user may.
    """
    directory = config.network_dir
    named = (config.wallets_dir / name for name in names if "\0" not in name)
    return Confinement(
        read=(credentials,) if credentials is not None else (),
        write=(own_directory(config), config.wallets_dir, *named),
        remove=(config.run_dir,) if bound is not None and bound.parent == config.run_dir else (),
        apart=(directory / "blocks", directory / "chainstate"),
        unix=connects,
    )


def confine_process(config: Config, reach: Confinement, directory: Directory) -> Protections:
    """Give up what isn't needed, before there is a second thread; backups are carried by another process from now on.
    ``directory``: the wallets'."""
    mode = Mode(config.get_str("sandbox") or Mode.OFF)
    if mode is not Mode.OFF:
        directory.carrier = _hired(config)
        directory.reach = reach.write
    return confine(reach, mode)


def _hired(config: Config) -> Carrier:
    closed, wallets = closed_to_backups(config), config.wallets_dir
    return hire(closed, lambda: confine(everywhere(), Mode.AUTO), wallets)


def confine_keeper(config: Config, directory: Directory) -> tuple[Protections, Carrier]:
    """The same for the process that makes wallets and holds none open; and who carries the backups of those that others
    hold."""
    carrier: Carrier = Direct()
    if config.get_str("sandbox") != "off":
        prepare(config)
        carrier = _hired(config)
    reach = confinement(config, config.get_list("wallet"), connects=True)
    return confine_process(config, reach, directory), carrier


def make_directories(config: Config) -> None:
    """What must be there before.

    Raises:
        FatalError: LOCKED, Bitcoin Core runs there, and nothing was made; CONFIG, a -walletdir that isn't there; else
            what the system says.
    """
    require_no_core(config.network_dir)
    wallets = config.wallets_dir
    try:
        require_specified(config)
        config.make_directories()
        wallets.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = f"Could not make the directory {error.filename}: {error.strerror}."
        raise FatalError(why, status=status_of_os_error(error)) from error


def require_specified(config: Config) -> None:
    """A directory that somebody named must be there: a slip must not look like a wallet that is gone
    (``VerifyWallets`` in Core's ``src/wallet/load.cpp``). Raises FatalError."""
    wallets = config.wallets_dir
    if not config.get_str("walletdir") or wallets.is_dir():
        return
    why = "is not a directory" if wallets.exists() else "does not exist"
    raise FatalError(f'Specified -walletdir "{wallets}" {why}', status=ExitStatus.CONFIG)
