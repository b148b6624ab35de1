"""The first call on every connection that uses interface methods, and the calls every server answers."""

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from bitcoind_mp import __version__

from .command import interface_method

#: Raised by one whenever a change to ``interfaces/`` would let two versions misunderstand each other.
PROTOCOL_VERSION = 1


@dataclass(frozen=True)
class Hello:
    """Who speaks: the process's role (``supervisor``, ``node``, ``wallet``, ``cli``), chain and version."""

    role: str
    protocol: int
    chain: str
    version: str
    pid: int

    @classmethod
    def ours(cls, role: str, chain: str) -> "Hello":
        """What this process says of itself."""
        return cls(role, PROTOCOL_VERSION, chain, __version__, os.getpid())


class Init(ABC):
    """What any of our servers answers about itself."""

    @interface_method("init.handshake")
    @abstractmethod
    async def handshake(self, hello: Hello) -> Hello:
        """Tell who we are and learn who the other is. A mismatch of protocol or chain raises `RpcError` with a
        message that says which side must change."""

    @interface_method("rpc.discover")
    @abstractmethod
    async def discover(self) -> dict[str, Any]:
        """An OpenRPC document of everything this server answers."""
