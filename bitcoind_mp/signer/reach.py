"""What the signer's process reaches once it serves: its keys and its log. It makes no socket of any kind."""

from collections.abc import Sequence
from pathlib import Path

from bitcoind_mp.config import Config
from bitcoind_mp.sandbox import Confinement


def directory(config: Config) -> Path:
    """Where the key store and the audit log lie: all that the process has of the disk."""
    return config.network_dir / "signer"


def _lineage(config: Config) -> tuple[Path, ...]:
    """What `door.Lineage` reads."""
    network = config.network_dir
    return network / "supervisor.lock", network / "wallet.lock", config.run_dir / "units"


def prepare(config: Config) -> None:
    """Make what can't be made, or be let in, any more from within. Raises OSError."""
    for place in (directory(config), config.wallets_door.parent):
        place.mkdir(mode=0o700, exist_ok=True)
    for path in _lineage(config):
        path.touch(mode=0o600)


def confinement(config: Config, bound: Sequence[Path] = (), credentials: Path | None = None) -> Confinement:
    """``bound``: the sockets that this process made and will remove, where it runs alone; those elsewhere stay.
    ``credentials``: where passphrases are that the service manager handed over."""
    network = config.network_dir
    own = (config.run_dir, config.wallets_door.parent)
    return Confinement(
        read=(*_lineage(config), Path("/proc"), *([credentials] if credentials is not None else [])),
        write=(directory(config),),
        remove=tuple(place for place in own if any(path.parent == place for path in bound)),
        apart=tuple(network / name for name in ("blocks", "chainstate", "wallets")),
    )
