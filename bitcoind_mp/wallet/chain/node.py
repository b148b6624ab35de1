"""What the manager needs of the node: ``upstream.py`` is it in the running process."""

from typing import Protocol

from bitcoind_mp.interfaces.chain import Chain
from bitcoind_mp.wallet.wallet import Wallet

from .follow import Attachment


class Node(Protocol):
    """The node, there or not."""

    chain: Chain

    def attach(self, wallet: Wallet) -> Attachment:
        """Keep a wallet on the feed from now on."""

    async def detach(self, wallet: Wallet) -> None:
        """Follow for it no longer."""
