"""Commands about a worker's process, the same for every worker (``src/rpc/server.cpp``, ``src/rpc/node.cpp``)."""

import asyncio
import time

from bitcoind_mp.interfaces.command import command, commit_point
from bitcoind_mp.interfaces.errors import RpcCode, RpcError

from . import logging as service_logging
from .worker import Host


class ProcessCommands:
    """``role`` is what the worker is called: node, wallet."""

    def __init__(self, host: Host, role: str) -> None:
        self._host = host
        self._role = role
        self._started = time.monotonic()

    @command("control")
    def uptime(self) -> int:
        """Returns the total uptime of the process.

        Returns:
            The number of seconds that it has been running
        """
        return int(time.monotonic() - self._started)

    @command("control", changes=True)
    async def stop(self, wait: int = 0) -> str:
        """Stops the process where it runs alone; a supervisor would start it again.

        Args:
            wait: How long the answer waits, in ms

        Returns:
            A string that says that the process is stopping
        """
        commit_point()
        self._host.request_stop("stop was called")
        await asyncio.sleep(wait / 1000)
        return f"Bitcoin {self._role} stopping"

    @command("control", changes=True)
    def logging(self, include: list[str] | None = None, exclude: list[str] | None = None) -> dict[str, bool]:
        """Gets and sets the logging configuration of the process, until it ends.

        First the categories of include are added to debug logging, then those of exclude are removed; "all" stands
        for every category.

        Args:
            include: The categories to add to debug logging
            exclude: The categories to remove from debug logging

        Returns:
            Each category, and whether it is being debug logged
        """
        for names, on in ((include or [], True), (exclude or [], False)):
            for name in names:
                for category in service_logging.CATEGORIES if name in service_logging.EVERYTHING else (name,):
                    try:
                        service_logging.set_category(category, on)
                    except KeyError:
                        raise RpcError(RpcCode.INVALID_PARAMETER, f"unknown logging category {name}") from None
        return service_logging.categories()
