"""What the node's process reaches once it serves: its part of the data directory, and the network."""

import contextlib
from pathlib import Path

from bitcoind_mp.config import Config
from bitcoind_mp.sandbox import Confinement
from bitcoind_mp.sandbox.places import keep_in

from .chain.journal import Journal, JournalDamaged
from .chain.store import COPIES, JOURNAL, discard_copies
from .settings import peers_config

#: What looking up a peer's name reads (resolv.conf(5), nsswitch.conf(5), hosts(5)); /run is where some of it leads to.
_NAMES = ("/etc", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/var/run/nscd")
#: The node's directories in the network's.
_OWN = ("blocks", "chainstate", "indexes", "mempool", "peers", COPIES)


def prepare(directory: Path) -> None:
    """Make what can't be made any more from within; its locks are held.

    Raises OSError.
    """
    discard_copies(directory)
    for name in _OWN:
        (directory / name).mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(JournalDamaged):  # which is said when it is read
        Journal(directory / JOURNAL).close()
    for name in ("mempool.dat", "fee_estimates.dat"):
        keep_in(directory / "mempool", directory / name)
    keep_in(directory / "peers", directory / "banlist.json")


def confinement(config: Config, bound: Path | None = None) -> Confinement:
    """``wallets/`` is none of it, nor are Unix sockets: nobody but the node's own callers is to be talked to there.

    ``bound``: the socket that this process made and will remove again, where it runs alone; one elsewhere stays.
    """
    directory = config.network_dir
    files = tuple(Path(file) for file in config.get_paths("loadblock"))
    return Confinement(
        read=(*files, *map(Path, _NAMES)),
        write=(*(directory / name for name in _OWN), directory / JOURNAL),
        remove=(config.run_dir,) if bound is not None and bound.parent == config.run_dir else (),
        apart=(config.wallets_dir, directory / "wallets"),
        internet=True,
        listen=_ports(config),
    )


def _ports(config: Config) -> tuple[int, ...]:
    peers = peers_config(config)
    if not peers.listen:
        return ()
    found = {place.endpoint.port for place in peers.whitelist.places}
    found |= {place.port for place in peers.bind}
    if not found:
        found.add(peers.port)
    return tuple(sorted(found))
