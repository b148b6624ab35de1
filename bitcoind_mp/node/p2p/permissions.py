"""What the operator lets some peers do: ``-whitelist``, ``-whitebind`` (Core's ``src/net_permissions.cpp``)."""

from dataclasses import dataclass
from enum import Flag
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from .endpoint import Endpoint, parse_endpoint


class Permissions(Flag):
    """What a peer may do that others may not. ``FORCE_RELAY`` includes ``RELAY``, ``NO_BAN`` includes ``DOWNLOAD``."""

    NONE = 0
    BLOOM_FILTER = 1 << 1
    RELAY = 1 << 3
    FORCE_RELAY = 1 << 2 | RELAY
    DOWNLOAD = 1 << 6
    NO_BAN = 1 << 4 | DOWNLOAD
    MEMPOOL = 1 << 5
    ADDR = 1 << 7
    ALL = BLOOM_FILTER | FORCE_RELAY | NO_BAN | MEMPOOL | ADDR

    @property
    def names(self) -> list[str]:
        """As ``getpeerinfo`` lists them."""
        return [word for word, flag in _LISTED.items() if flag in self]


_LISTED = {
    "bloomfilter": Permissions.BLOOM_FILTER,
    "noban": Permissions.NO_BAN,
    "forcerelay": Permissions.FORCE_RELAY,
    "relay": Permissions.RELAY,
    "mempool": Permissions.MEMPOOL,
    "download": Permissions.DOWNLOAD,
    "addr": Permissions.ADDR,
}
_WORDS = {**_LISTED, "bloom": Permissions.BLOOM_FILTER, "all": Permissions.ALL}


@dataclass(frozen=True)
class Whitelisted:
    """A network whose peers have these permissions, where they call us (``inbound``) and where we call them. Without
    a word about which, ``permissions`` is None: what is usual."""

    network: IPv4Network | IPv6Network
    permissions: Permissions | None
    inbound: bool
    outbound: bool

    def covers(self, address: IPv4Address | IPv6Address | None, *, inbound: bool) -> bool:
        return address is not None and address in self.network and (self.inbound if inbound else self.outbound)


@dataclass(frozen=True)
class Whitebound:
    """An address to listen on, and what those who call there may do (None: what is usual)."""

    endpoint: Endpoint
    permissions: Permissions | None


@dataclass(frozen=True)
class Whitelist:
    """All that the operator said. ``relay`` and ``force_relay`` say what is usual (``-whitelistrelay``,
    ``-whitelistforcerelay``)."""

    networks: tuple[Whitelisted, ...] = ()
    places: tuple[Whitebound, ...] = ()
    relay: bool = True
    force_relay: bool = False

    def of_peer(self, remote: Endpoint, local: Endpoint | None, *, inbound: bool) -> Permissions:
        """What a peer at ``remote``, which called us at ``local`` or was called, may do."""
        found = Permissions.NONE
        for listed in self.networks:
            if listed.covers(remote.address, inbound=inbound):
                found |= self._of(listed.permissions)
        for bound in self.places if inbound else ():
            if bound.endpoint == local:
                found |= self._of(bound.permissions)
        return found

    def _of(self, permissions: Permissions | None) -> Permissions:
        if permissions is not None:
            return permissions
        usual = Permissions.NO_BAN | Permissions.MEMPOOL
        if self.relay:
            usual |= Permissions.RELAY
        return usual | Permissions.FORCE_RELAY if self.force_relay else usual


def parse_whitelist(text: str) -> Whitelisted:
    """``[permissions@]address[/bits]``. Raises ValueError with Core's words."""
    permissions, directions, net = _split(text)
    try:
        network = ip_network(net, strict=False)
    except ValueError:
        raise ValueError(f"Invalid netmask specified in -whitelist: '{net}'") from None
    return Whitelisted(network, permissions, "in" in directions or not directions, "out" in directions)


def parse_whitebind(text: str) -> Whitebound:
    """``[permissions@]address:port``. Raises ValueError with Core's words."""
    permissions, directions, place = _split(text)
    if "out" in directions:
        raise ValueError('whitebind may only be used for incoming connections ("out" was passed)')
    try:
        endpoint = parse_endpoint(place, 0)
    except ValueError:
        raise ValueError(f"Cannot resolve -whitebind address: '{place}'") from None
    if endpoint.address is None:
        raise ValueError(f"Cannot resolve -whitebind address: '{place}'")
    if not endpoint.port:
        raise ValueError(f"Need to specify a port with -whitebind: '{place}'")
    return Whitebound(endpoint, permissions)


def _split(text: str) -> tuple[Permissions | None, set[str], str]:
    """Permissions, the words ``in`` and ``out`` among them, and what follows the ``@``."""
    words, at, rest = text.partition("@")
    if not at:
        return None, set(), text
    permissions, directions = Permissions.NONE, set()
    for word in filter(None, words.split(",")):
        if word in ("in", "out"):
            directions.add(word)
        elif word in _WORDS:
            permissions |= _WORDS[word]
        else:
            raise ValueError(f"Invalid P2P permission: '{word}'")
    if directions and not permissions:
        raise ValueError(f"Only direction was set, no permissions: '{text}'")
    return permissions, directions, rest
