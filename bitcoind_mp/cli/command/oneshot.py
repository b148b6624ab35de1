"""One command from the command line: its words, its printed answer, and the exit status that bitcoin-cli would have.

The path of every ``bitcoin-mp COMMAND``: it may import only what is as cheap as itself (a test looks at
``sys.modules``). What only some commands need is imported where it is needed.
"""

import os
import sys

from bitcoind_mp.cli.arguments import BadArgument
from bitcoind_mp.cli.jsontext import NotJson
from bitcoind_mp.cli.routing import FOR_PERSONS

from .calling import call
from .exchange import NoServer, Refused
from .printed import Unwritable, drop_output, error_text, print_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bitcoind_mp.config import Config

#: Columns where a terminal doesn't know how wide it is.
NO_WIDTH = 80


def run(config: "Config") -> int:
    """Run the command line's command. The exit status."""
    stand_in_for_closed_streams()
    try:
        if config.get_bool("getinfo") or config.get_bool("generate"):
            from .composite import run_composite

            return run_composite(config)
        words = read_words(config)
        if not words:
            raise BadArgument("too few parameters (need at least command)")
        return perform(config, words[0], words[1:])
    except (BadArgument, NoServer) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Unwritable as error:
        print(f"error: could not write the answer: {error}", file=sys.stderr)
        drop_output()
        return 1
    except NotJson:
        print("error: couldn't parse reply from server", file=sys.stderr)
        return 1
    except Refused as refused:
        print(error_text(refused.code, refused.message), file=sys.stderr)
        return abs(refused.code) & 0xFF
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        drop_output()  # whoever read it has left
        return 1


def stand_in_for_closed_streams() -> None:
    """Open the standard streams that the caller closed, before a socket gets one's number: input is empty, what goes
    to errors is dropped (and not printed among results), and an answer can't be written."""
    streams = (("stdin", os.O_RDONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w"))
    for number, (name, access, mode) in enumerate(streams):
        if getattr(sys, name) is None:
            os.open(os.devnull, access)  # gets the lowest free number: this one
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def read_words(config: "Config") -> "list[str]":
    """The command and its parameters, with what -stdin and -stdinwalletpassphrase read."""
    words = list(config.arguments)
    if config.get_bool("stdinwalletpassphrase"):
        if not words or not words[0].startswith("walletpassphrase"):
            raise BadArgument("-stdinwalletpassphrase is only applicable for walletpassphrase(change)")
        from bitcoind_mp.cli.secret import read_passphrase

        words.insert(1, read_passphrase("Wallet passphrase> "))
    if config.get_bool("stdin"):
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
        words += text.removesuffix("\n").split("\n") if text else []
    return words


def perform(config: "Config", name: str, words: "list[str]") -> int:
    """Call one command and print its result; the exit status."""
    if name in FOR_PERSONS:
        from .supervision import perform_for_person

        return perform_for_person(config, name, words)
    if name == "events" and not config.get_bool("named"):
        from .events import follow_events

        return follow_events(config, words)
    result = call(config, name, words)
    if name == "help" and isinstance(result, str) and sys.stdout.isatty():
        from bitcoind_mp.cli.format import wrapped

        result = wrapped(result, os.get_terminal_size(sys.stdout.fileno()).columns or NO_WIDTH)
    print_result(result)
    return 0
