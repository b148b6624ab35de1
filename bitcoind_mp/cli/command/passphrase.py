"""Telling the signer a passphrase from the one-shot path, before the wallet is called (`entrust`: which, and why)."""

import os
import time

from bitcoind_mp.cli.arguments import Command, request
from bitcoind_mp.cli.entrust import METHOD, VOID, Secrets, by_its_word, replaced, whose
from bitcoind_mp.cli.jsontext import compact
from bitcoind_mp.cli.routing import Server, Servers, chosen_wallet

from .exchange import RETRY, NoServer, connected, exchange, read_reply

#: Seconds that somebody has to listen there.
PATIENCE = 2.0

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bitcoind_mp.config import Config


def entrusted(config: "Config", command: Command, words: "list[str]", call: "Callable[..., Any]") -> "list[str]":
    """The words that the wallet may have; ``call`` asks what that takes (`calling.call`). Raises `BadArgument`,
    `NoServer`, `Refused`: then it isn't called."""
    signer = signer_of(config)
    if signer is None:
        return words
    secrets = Secrets(command, words, named=config.get_bool("named"))
    if not secrets.for_signer:
        return words
    chosen = chosen_wallet(config)
    loaded = call(config, "listwallets", []) if chosen is None and secrets.wallet is None else []
    wallet = whose(secrets, chosen, loaded)
    if wallet is None:
        return secrets.with_ticket(VOID)
    answer = _ask(config, signer, secrets.told(wallet))
    is_named = chosen is not None or secrets.wallet is not None
    left = replaced(secrets, words, answer, is_named=is_named, wallet=wallet)
    return left if left is not None else by_its_word(secrets, words, call(config, "getwalletinfo", [], wallet=wallet))


def signer_of(config: "Config") -> "Server | None":
    """The signer, where there is one: its socket stays while it is started again, and must be taken for it then too."""
    found = [server for server in Servers.of(config).all() if server.role == "signer"]
    return next((server for server in found if os.path.exists(server.socket)), None)


def _ask(config: "Config", signer: Server, params: "list[Any]") -> "Any":
    end = time.monotonic() + PATIENCE
    connection = connected(signer)
    while connection is None:
        if time.monotonic() >= end:
            raise NoServer(
                f"nobody answers on {signer.socket}, so the passphrase was sent to nobody. Start the signer; or remove "
                "that file, if there is to be none any more"
            )
        time.sleep(RETRY)
        connection = connected(signer)
    return read_reply(exchange(config, signer, connection, request(METHOD, compact(params))))
