"""Whom the operator won't have as a peer (``setban``), over restarts; and who misbehaved, until the process ends.

The file is Core's ``banlist.json`` (``src/banman.cpp``, ``src/addrdb.cpp``).
"""

import json
import logging
import os
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from bitcoind_mp.node.chain.clock import Clock

from .recent import RecentHashes

log = logging.getLogger("bitcoind_mp.net")

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_VERSION = 1
_DISCOURAGED_REMEMBERED = 50_000


@dataclass(frozen=True)
class Ban:
    """Since when, and until when; seconds since 1970 by the node's clock."""

    created: int
    until: int


class BanList:
    """Networks that nobody is answered from.

    Args:
        path: the file, read now; None keeps nothing.
        clock: the node's.
        usual: seconds that a ban lasts of which nothing is said (``-bantime``).
    """

    def __init__(self, path: Path | None, clock: Clock, usual: int = 24 * 60 * 60) -> None:
        self._path = path
        self._clock = clock
        self._usual = usual
        self._discouraged = RecentHashes(_DISCOURAGED_REMEMBERED)
        self._bans: dict[Network, Ban] = {}
        if path is not None and not self._read(path):
            self._begin_anew()

    def listed(self) -> list[tuple[Network, Ban]]:
        """The bans that hold, in the order of the addresses."""
        self._sweep()
        return sorted(self._bans.items(), key=lambda each: (each[0].version, each[0]))

    def is_banned(self, address: Address | None) -> bool:
        """Whether a peer at that address is not to be had."""
        now = self._clock.now()
        return address is not None and any(
            address in network and now < ban.until for network, ban in self._bans.items()
        )

    def is_listed(self, network: Network) -> bool:
        """Whether just this network is banned."""
        ban = self._bans.get(network)
        return ban is not None and self._clock.now() < ban.until

    def add(self, network: Network, seconds: int = 0, *, absolute: bool = False) -> None:
        """Ban the network for so long, or until then where ``absolute``; 0 is for the usual time.

        Raises:
            OSError: it couldn't be written down, and holds until the process ends.
        """
        now = self._clock.now()
        until = seconds if absolute and seconds > 0 else now + (seconds if seconds > 0 else self._usual)
        before = self._bans.get(network)
        if before is None or before.until < until:
            self._bans[network] = Ban(now, until)
            self._write()

    def remove(self, network: Network) -> bool:
        """Have it back; whether it was banned. Raises OSError as `add`."""
        if self._bans.pop(network, None) is None:
            return False
        self._write()
        return True

    def clear(self) -> None:
        """Have all back. Raises OSError as `add`."""
        self._bans.clear()
        self._write()

    def discourage(self, address: Address | None) -> None:
        """Somebody there misbehaved."""
        if address is not None:
            self._discouraged.add(address.packed)

    def is_discouraged(self, address: Address | None) -> bool:
        """Whether somebody there misbehaved: others come first."""
        return address is not None and address.packed in self._discouraged

    # --- inside

    def _sweep(self) -> None:
        now = self._clock.now()
        self._bans = {network: ban for network, ban in self._bans.items() if now <= ban.until}

    def _read(self, path: Path) -> bool:
        """Whether there was a list that can be read."""
        if not path.exists():
            return False
        try:
            for entry in json.loads(path.read_bytes())["banned_nets"]:
                if entry["version"] == _VERSION:
                    network = ip_network(entry["address"])
                    self._bans[network] = Ban(int(entry["ban_created"]), int(entry["banned_until"]))
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("%s can't be read, and is begun anew: %s", path, error)
            self._bans.clear()
            return False
        return True

    def _begin_anew(self) -> None:
        log.info("Recreating the banlist database")
        try:
            self._write()
        except OSError as error:
            log.error("the ban list could not be written: %s", error)

    def _write(self) -> None:
        if self._path is None:
            return
        self._sweep()
        nets: list[dict[str, Any]] = [
            {
                "version": _VERSION,
                "ban_created": ban.created,
                "banned_until": ban.until,
                "address": str(network),
            }
            for network, ban in self._bans.items()
        ]
        path = self._path.resolve()
        new = path.with_name(path.name + ".new")
        with new.open("w") as file:
            json.dump({"banned_nets": nets}, file, indent=4)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
