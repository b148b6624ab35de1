"""How the wallet's process reaches the others: over channels that the supervisor gave it, or by their paths where it
has none."""

import socket
from collections.abc import Callable
from dataclasses import dataclass

from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.channels import AT_KEEPER, TO_KEEPER, TO_NODE, TO_SIGNER


@dataclass(frozen=True)
class Ways:
    """The ends of channels that the process was handed, None for each that it wasn't: to the node, to the signer, to
    the process that makes wallets; and where that one takes what comes."""

    to_node: socket.socket | None = None
    to_signer: socket.socket | None = None
    to_keeper: socket.socket | None = None
    at_keeper: socket.socket | None = None

    @classmethod
    def handed(cls, config: Config, given: Callable[[str], socket.socket | None]) -> "Ways":
        """``given(name)``: what was handed down under that name. A node that -ipcconnect names is reached there."""
        _, elsewhere = config.ipc_connect
        to_node = None if elsewhere else given(TO_NODE)
        return cls(to_node, given(TO_SIGNER), given(TO_KEEPER), given(AT_KEEPER))

    def suffice(self, config: Config) -> bool:
        """Whether a process that serves wallets needs no other way to anybody."""
        needed = [self.to_node]
        if config.get_bool("signerprocess"):
            needed.append(self.to_signer)
        if config.only_wallet is not None and config.is_set("apart"):
            needed.append(self.to_keeper)
        return None not in needed
