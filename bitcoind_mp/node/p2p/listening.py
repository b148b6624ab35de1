"""The addresses on which peers may call us: each bound, or why it can't be. Who may come in: ``admission.py``."""

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.interfaces.obstacle import Obstacle

from .endpoint import Endpoint

log = logging.getLogger("bitcoind_mp.net")


async def listen(
    asked: Sequence[Endpoint], port: int, protocol: Callable[[], asyncio.Protocol]
) -> AsyncIterator[asyncio.Server]:
    """Listen there, with none asked for on that port of every address of this computer, and make a ``protocol`` for
    each caller.

    Raises:
        FatalError: one can't be listened on. Those before it are the caller's.
    """
    for place in asked or (Endpoint("0.0.0.0", port), Endpoint("::", port)):
        try:
            server = await asyncio.get_running_loop().create_server(
                protocol, place.host, place.port, reuse_address=True
            )
        except OSError as error:
            if not asked and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                continue  # no IPv6 on this machine
            raise _cannot_listen(place, error) from error
        log.info("Bound to %s", place)
        yield server


def _cannot_listen(place: Endpoint, error: OSError) -> FatalError:
    """In use now may be free later; what isn't this computer's or isn't allowed stays so."""
    in_use = error.errno == errno.EADDRINUSE
    why = os.strerror(error.errno) if error.errno else str(error)
    return FatalError(
        f"Unable to bind to {place} on this computer: {why}.",
        hint="Another node is probably running there: choose -port=, -bind= or -listen=0." if in_use else "",
        status=ExitStatus.PORT_TAKEN if in_use else ExitStatus.CONFIG,
        obstacle=Obstacle("port", place.host, place.port) if in_use else None,
    )
