"""Where a peer is: a host and a port, as people write them."""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address


@dataclass(frozen=True)
class Endpoint:
    """A host (a name, or an address without brackets) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The IP address, None where ``host`` is a name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    @property
    def network(self) -> str:
        """Core's word for the network: ``ipv4``, ``ipv6``, or ``not_publicly_routable``."""
        address = self.address
        if address is None or not address.is_global:
            return "not_publicly_routable"
        return f"ipv{address.version}"


def parse_endpoint(text: str, default_port: int) -> Endpoint:
    """``host``, ``host:port``, ``[address]:port`` or a bare IPv6 address (Core's ``SplitHostPort``).

    Raises:
        ValueError: no host, or a port that is none.
    """
    host, port = text.strip(), ""
    if host.startswith("["):
        host, bracket, rest = host[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"not a host and port: {text!r}")
        port = rest[1:]
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    if not host or (port and not (port.isdecimal() and 0 < int(port) < 65536)):
        raise ValueError(f"not a host and port: {text!r}")
    return Endpoint(_numeric(host), int(port) if port else default_port)


def _numeric(host: str) -> str:
    """``127.1`` and the other short forms of an IPv4 address in full, so that one peer has one endpoint."""
    try:
        return host if any(map(str.isspace, host)) else socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return host
