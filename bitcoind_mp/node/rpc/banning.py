"""Commands about whom not to have as a peer (``src/rpc/net.cpp``)."""

from ipaddress import ip_address, ip_network
from typing import Any

from bitcoind_mp.interfaces.command import command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.clock import Clock
from bitcoind_mp.node.p2p.bans import Network
from bitcoind_mp.node.p2p.manager import Peers


class BanCommands:
    """``clock`` is the node's."""

    def __init__(self, peers: Peers, clock: Clock) -> None:
        self._peers = peers
        self._clock = clock

    @command("network", changes=True)
    def setban(self, subnet: str, command: str, bantime: int = 0, absolute: bool = False) -> None:
        """Adds or removes an address or subnet to or from those that no peer is had from.

        Args:
            subnet: The IP address, or the subnet as address/bits
            command: add or remove
            bantime: Seconds that the ban lasts, or when it ends (see absolute); 0 for as long as -bantime says
            absolute: Whether bantime is a time, in seconds since 1970

        Returns:
            null
        """
        if command not in ("add", "remove"):
            raise RpcError(
                RpcCode.MISC_ERROR,
                'setban "subnet" "command" ( bantime absolute )\n\nThe command is add or remove.',
            )
        network = _network(subnet)
        if command == "add":
            self._add(subnet, network, bantime, absolute)
        elif not self._write(lambda: self._peers.bans.remove(network)):
            raise RpcError(
                RpcCode.CLIENT_INVALID_IP_OR_SUBNET,
                "Error: Unban failed. Requested address/subnet was not previously manually banned.",
            )

    def _add(self, subnet: str, network: Network, bantime: int, absolute: bool) -> None:
        bans = self._peers.bans
        there = bans.is_listed(network) if "/" in subnet else bans.is_banned(network.network_address)
        if there:
            raise RpcError(RpcCode.CLIENT_NODE_ALREADY_ADDED, "Error: IP/Subnet already banned")
        if absolute and bantime < self._clock.now():
            raise RpcError(RpcCode.INVALID_PARAMETER, "Error: Absolute timestamp is in the past")
        self._write(lambda: self._peers.ban(network, bantime, absolute=absolute))

    @command("network")
    def listbanned(self) -> list[dict[str, Any]]:
        """Lists all manually banned IPs and subnets.

        Returns:
            For each its address, since when it is banned and until when, and the seconds in all and left
        """
        now = self._clock.now()
        return [
            {
                "address": str(network),
                "ban_created": ban.created,
                "banned_until": ban.until,
                "ban_duration": ban.until - ban.created,
                "time_remaining": ban.until - now,
            }
            for network, ban in self._peers.bans.listed()
        ]

    @command("network", changes=True)
    def clearbanned(self) -> None:
        """Clears all banned IPs.

        Returns:
            null
        """
        self._write(self._peers.bans.clear)

    @staticmethod
    def _write(change: Any) -> Any:
        try:
            return change()
        except OSError as error:
            text = f"The ban list could not be written down: {error.strerror}. It holds until the node stops."
            raise RpcError(RpcCode.DATABASE_ERROR, text) from error


def _network(text: str) -> Network:
    try:
        return ip_network(text, strict=False) if "/" in text else ip_network(ip_address(text))
    except ValueError:
        raise RpcError(RpcCode.CLIENT_INVALID_IP_OR_SUBNET, "Error: Invalid IP/Subnet") from None
