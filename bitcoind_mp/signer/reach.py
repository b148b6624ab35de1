"""What the signer's process reaches once it serves: its keys and its log. It makes no socket of any kind."""

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
    directory(config).mkdir(mode=0o700, exist_ok=True)
    for path in _lineage(config):
        path.touch(mode=0o600)


def confinement(config: Config, bound: Path | None = None) -> Confinement:
    """``bound``: the socket that this process made and will remove again, where it runs alone; one elsewhere stays."""
    network = config.network_dir
    return Confinement(
        read=(*_lineage(config), Path("/proc")),
        write=(directory(config),),
        remove=(config.run_dir,) if bound is not None and bound.parent == config.run_dir else (),
        apart=tuple(network / name for name in ("blocks", "chainstate", "wallets")),
    )
