"""Telling the signer a passphrase from the shell, before the wallet is called (`entrust` says which and why)."""

import os

from bitcoind_mp.cli.arguments import Command
from bitcoind_mp.cli.entrust import METHOD, VOID, Secrets, by_its_word, replaced, whose

from .client import Connections

#: The signer's command, whether or not its table can be read just now.
_ENTRUST = Command({"name": METHOD, "changes": True})
_LIST = Command({"name": "listwallets"})
_INFO = Command({"name": "getwalletinfo"})


async def entrusted(
    connections: Connections, command: Command, words: list[str], *, named: bool, wallet: str | None
) -> list[str]:
    """The words that the wallet may have; ``wallet`` is the one that the person chose. Raises `BadArgument`, and what
    `Connections.call` does: then the wallet isn't called."""
    signer, keeper = connections.link("signer"), connections.link("wallet")
    if signer is None or not os.path.exists(signer.server.socket):  # noqa: ASYNC240 (one look)
        return words
    secrets = Secrets(command, words, named=named)
    if not secrets.for_signer:
        return words
    is_named = wallet is not None or secrets.wallet is not None
    loaded = [] if is_named or keeper is None else await connections.call(keeper, _LIST, [])
    about = whose(secrets, wallet, loaded)
    if about is None:
        return secrets.with_ticket(VOID)
    answer = await connections.call(signer, _ENTRUST, secrets.told(about))
    left = replaced(secrets, words, answer, is_named=is_named, wallet=about)
    if left is not None:
        return left
    found = connections.find(_INFO.name, about)
    if found is None:
        return secrets.with_ticket(VOID)
    return by_its_word(secrets, words, await connections.call(found[0], _INFO, [], wallet=about))
