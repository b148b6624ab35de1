"""Results and errors as bitcoin-cli prints them."""

import os
import sys

from bitcoind_mp.cli.jsontext import Number, write

from .exchange import WALLET_NOT_SPECIFIED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: Control characters, which a terminal might obey, but for those that only part text.
_CONTROLS = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "\ufffd")


class Unwritable(Exception):
    """Standard output doesn't take the answer; the text says why."""


def print_result(result: "Any") -> None:
    """As bitcoin-cli: nothing for null, a string as it is, anything else as JSON. On a terminal `tamed`."""
    if result is None:
        return
    text = result if isinstance(result, str) and not isinstance(result, Number) else write(result)
    print_text(tamed(text) if sys.stdout.isatty() else text)


def tamed(text: str) -> str:
    """Without what a terminal might obey: a server that was broken into, or a stranger whom it quotes, may have said
    it."""
    return text.translate(_CONTROLS)


def print_text(text: str) -> None:
    """Text that is ours, or `tamed`."""
    try:
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unwritable(error.strerror) from error


def error_text(code: int, message: str) -> str:
    """An error as bitcoin-cli prints it (``ParseError``), `tamed`."""
    text = f"error code: {code}\nerror message:\n{tamed(message)}"
    if code == WALLET_NOT_SPECIFIED and "-rpcwallet" not in message:
        text += (
            ' Or for the CLI, specify the "-rpcwallet=<walletname>" option before the command (run "bitcoin-mp -h" '
            'for help or "bitcoin-mp listwallets" to see which wallets are currently loaded).'
        )
    return text


def drop_output() -> None:
    """Keep the interpreter from complaining at its end about what standard output didn't take."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
