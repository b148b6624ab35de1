"""What the wallet's process reaches once it serves: wallets, and the node's socket."""

from collections.abc import Iterable
from pathlib import Path

from bitcoind_mp.config import Config
from bitcoind_mp.sandbox import Confinement
from bitcoind_mp.sandbox.places import keep_in


def own_directory(config: Config) -> Path:
    """Where the process keeps what isn't a wallet: wherever -walletdir is, this is in the network's directory."""
    return config.network_dir / "wallets"


def prepare(config: Config) -> None:
    """Make what can't be made any more from within. Raises OSError."""
    keep_in(own_directory(config), config.settings_file)


def closed_to_backups(config: Config) -> tuple[Path, ...]:
    """Of the data directory, what is the node's and the processes' own."""
    directory = config.network_dir
    own = ("blocks", "chainstate", "indexes", "mempool", "coins-base", "run", "logs", "signer")
    return tuple(directory / name for name in own)


def everywhere() -> Confinement:
    """For the process that carries backups: files, and nothing else."""
    return Confinement(write=(Path("/"),))


def confinement(
    config: Config, names: Iterable[str], bound: Path | None = None, credentials: Path | None = None
) -> Confinement:
    """No internet, and of the node's files none. ``names``: wallets that will be loaded; they may lie elsewhere.
    ``bound``: the socket that this process made and will remove again, where it runs alone; one elsewhere stays.
    ``credentials``: where passphrases are that the service manager handed over.
    """
    directory = config.network_dir
    elsewhere = [Path(name) for name in names if Path(name).is_absolute()]
    return Confinement(
        read=(credentials,) if credentials is not None else (),
        write=(own_directory(config), config.wallets_dir, *elsewhere),
        remove=(config.run_dir,) if bound is not None and bound.parent == config.run_dir else (),
        apart=(directory / "blocks", directory / "chainstate"),
        unix=True,
    )
