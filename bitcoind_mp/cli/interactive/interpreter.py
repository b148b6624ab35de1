"""Carrying out one line of the shell: its own commands, and the servers'.

What belongs here: what a line does and what is said about it. What doesn't: reading the line (`prompt`), connections
(`client`), layout (`format`, `screen`).
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from bitcoind_mp.cli import format as layout
from bitcoind_mp.cli.arguments import BadArgument, Command, named, positional
from bitcoind_mp.cli.command.composite import generate_words
from bitcoind_mp.cli.command.events import event_text, read_kinds
from bitcoind_mp.cli.command.supervision import EXEC, JOINED, LINES, UPGRADE, joined, read_words, text_of, without_json
from bitcoind_mp.cli.entrust import PURPOSES
from bitcoind_mp.cli.jsontext import compact
from bitcoind_mp.cli.routing import FOR_PERSONS
from bitcoind_mp.cli.values import from_text
from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.interfaces.logs import LogSink
from bitcoind_mp.interfaces.notices import NoticeSink

from .client import Connections
from .complete import OWN_HELP, OWN_USAGE
from .entrusting import entrusted
from .highlight import Fragments
from .line import GENERATE as GENERATE_OPTION
from .line import BadLine, Line, inner, parse
from .link import Link
from .screen import Screen, painted_fragments, result_fragments
from .secrets import missing_secret

GENERATE = f"-{GENERATE_OPTION}"
#: Seconds without an answer before a person is told that it isn't forgotten.
PATIENCE = 1.0
#: What ends a command that goes on when its caller is gone.
GOES_ON = {"rescanblockchain": "abortrescan"}
#: Which topics may change what a command of that server shows.
TOPICS = {
    "supervisor": frozenset({"unit", "up"}),
    "node": frozenset({"tip", "mempool", "up"}),
    "wallet": frozenset({"balance", "tip", "mempool", "up"}),
}


class Person(ABC):
    """Who sits before the shell: asked, and shown things that take the whole screen."""

    @abstractmethod
    async def secret(self, question: str) -> str:
        """Ask without showing the answer. Raises EOFError or KeyboardInterrupt where there is none."""

    @abstractmethod
    async def answer(self, question: str) -> str:
        """Ask. Raises EOFError or KeyboardInterrupt where there is none."""

    @abstractmethod
    async def watch(self, title: str, render: Callable[[], Awaitable[Fragments]], topics: frozenset[str]) -> None:
        """Show what ``render`` gives, again whenever one of the topics changed, until the person has seen enough."""

    @abstractmethod
    def clear(self) -> None:
        """Clear the screen."""


class Interpreter:
    """Runs lines. ``failed`` tells whether the last one went wrong; ``left`` that the person wants to leave."""

    def __init__(self, connections: Connections, screen: Screen, person: Person) -> None:
        self.failed = False
        self.left = False
        self._connections = connections
        self._screen = screen
        self._person = person

    async def run(self, text: str) -> None:
        """Carry out one line, and say what came of it. Cancelling it cancels the call that it waits for."""
        self.failed = True
        command = None
        try:
            line = with_json_anywhere(parse(text))
            if line.command:
                name = inner(line).command
                command = self._connections.find("generatetoaddress" if name == GENERATE else name, line.wallet)
                await self._run(line)
            self.failed = False
        except (BadLine, BadArgument) as error:
            self._screen.error(f"error: {error}")
        except RpcError as error:
            self._screen.refusal(error.code, error.message)
        except CallTimeout as error:
            self._screen.error(f"error: {error}")
        except BrokenPipeError:  # whoever read what is printed has left
            raise
        except (Disconnected, ConnectionError):
            self._screen.error("error: the connection ended before the answer came. Whether it took effect is unknown.")
        except OSError as error:
            self._screen.error(f"error: {error.strerror or error}")
        except (EOFError, KeyboardInterrupt):
            self._screen.note("")
        except asyncio.CancelledError:
            self._screen.note("")
            changes = command is not None and command[1].described.get("changes")
            self._screen.pieces([("class:note", "Cancelled." + (" It may have taken effect." if changes else ""))])
        finally:
            self._screen.note("")

    async def _run(self, line: Line) -> None:
        own = {
            "help": self._help,
            "use": self._use,
            "watch": self._watch,
            "logs": self._logs,
            "events": self._events,
            GENERATE: self._generate,
        }
        if line.command in ("exit", "quit"):
            self.left = True
        elif line.command == "clear":
            self._person.clear()
        elif line.command in own:
            await own[line.command](line)
        else:
            await self._serve(line)

    # The servers' commands

    async def _serve(self, line: Line) -> None:
        if line.command == "reload" and line.words == EXEC:
            for name in UPGRADE:
                self._screen.result(await self._call_once(line, [], *await self._find(name)))
            return
        link, command = await self._find(line.command, line.wallet)
        line = await self._complete_secrets(line, command)
        if line.command not in FOR_PERSONS or line.command in JOINED or line.named:
            self._show(line, await self._call(line, link, command))
            return
        for words in read_words(line.command, line.words)[0]:
            self._show(line, await self._call_once(line, words, link, command))

    async def _call(self, line: Line, link: Link, command: Command) -> Any:
        """What the line is answered; about several units, as one answer."""
        if line.command not in JOINED or line.named:
            return await self._call_once(line, line.words, link, command)
        calls, _ = read_words(line.command, line.words)
        return joined([await self._call_once(line, words, link, command) for words in calls])

    async def _call_once(self, line: Line, words: list[str], link: Link, command: Command) -> Any:
        wallet = line.wallet if line.wallet is not None else self._connections.seen.wallet
        if command.name in PURPOSES:
            words = await entrusted(self._connections, command, words, named=line.named, wallet=wallet)
        params = from_text(named(command, words) if line.named else positional(command, words))
        note = self._screen.note
        patient = asyncio.get_running_loop().call_later(
            PATIENCE, note, f"{command.name} takes a while… Ctrl-C cancels it."
        )

        def told(text: str) -> None:
            patient.cancel()
            note(text)

        def waiting(text: str) -> None:
            told(text or f"{command.name} was asked again. Ctrl-C cancels it.")

        try:
            return await self._connections.call(link, command, params, wallet=wallet, progress=told, waiting=waiting)
        except asyncio.CancelledError:
            if command.name in GOES_ON and (found := self._connections.find(GOES_ON[command.name], wallet)):
                await self._connections.call(*found, [], wallet=wallet)
            raise
        finally:
            patient.cancel()

    async def _find(self, name: str, wallet: str | None = None) -> tuple[Link, Command]:
        found = await self._connections.found(name, wallet, self._screen.note)
        if found is not None:
            return found
        missing = [
            role
            for role in ("node", "wallet")
            if self._connections.unit_state(role) not in ("", "running", "reloading")
        ]
        if missing:
            raise BadArgument(
                f"{name} is not known to what runs, and the {' and the '.join(missing)} may have it: see status"
            )
        if not any(self._connections.seen.connected.values()):
            raise BadArgument("not connected: nobody answers")
        if torn := self._connections.without_table():
            whose = " and the ".join(torn)
            raise BadArgument(
                f"{name} is not known to what runs, and the commands of the {whose} can't be read just now: "
                "try again in a moment"
            )
        raise RpcError(RpcCode.METHOD_NOT_FOUND, f"Method not found: {name}")

    async def _complete_secrets(self, line: Line, command: Command) -> Line:
        """Ask for a passphrase that isn't in the line, and then for what else must follow it."""
        name = missing_secret(line, command)
        if name is None:
            return line
        words = list(line.words)
        for parameter in command.described["params"][len(words) :]:
            if not parameter.get("required"):
                break
            question = parameter["name"].replace("_", " ")
            if parameter.get("secret"):
                word = await self._person.secret(f"{question}: ")
                new = command.name == "encryptwallet" or parameter["name"].startswith("new")
                if new and word != await self._person.secret(f"{question}, again: "):
                    raise BadArgument("the two are not the same")
            else:
                word = await self._person.answer(f"{question}: ")
            words.append(word)
        return Line(line.command, words, False, line.json, line.wallet)

    def _show(self, line: Line, result: Any) -> None:
        if line.json or line.command not in FOR_PERSONS or isinstance(result, str):
            self._screen.result(result)
        else:
            self._screen.painted(text_of(line.command, result, self._screen.paint))

    # The shell's own

    async def _help(self, line: Line) -> None:
        if line.words and line.words[0] in OWN_HELP and line.words[0] != "help":
            self._screen.text(f"{OWN_USAGE[line.words[0]]}\n\n{OWN_HELP[line.words[0]]}")
            return
        await self._connections.introduced(self._screen.note)
        link, command = await self._find("help")
        text = str(await self._call(line, link, command))
        if not line.words:
            own = "\n".join(f"{name:<8}{about}" for name, about in OWN_HELP.items())
            text += f"\n\n== Shell ==\n{own}"
        width = self._screen.width
        self._screen.pieces(_help_fragments(layout.wrapped(text, width) if width is not None else text))

    async def _use(self, line: Line) -> None:
        if len(line.words) > 1:
            raise BadArgument("use: expected one wallet's name")
        seen = self._connections.seen
        loaded = [wallet["name"] for wallet in (seen.balance or {}).get("wallets", [])]
        if not line.words:
            seen.wallet = None
            return
        name = line.words[0]
        if name not in loaded and self._connections.has_process(name):
            loaded = [*loaded, name]
        if name not in loaded and seen.connected.get("wallet"):
            # What is told comes in its own time: one that was made a moment ago may not be in it.
            link, command = await self._find("listwallets")
            loaded = await self._call_once(line, [], link, command)
        if (seen.balance is not None or loaded) and name not in loaded:
            known = ", ".join(loaded) or "none"
            raise BadArgument(f"no wallet named {name} is loaded (loaded: {known}). Load it with: loadwallet {name}")
        seen.wallet = name

    async def _generate(self, line: Line) -> None:
        """bitcoin-cli's -generate: blocks to a new address."""
        count, *tries = generate_words(line.words)
        address = await self._call_once(line, [], *await self._find("getnewaddress", line.wallet))
        blocks = await self._call_once(line, [count, address, *tries], *await self._find("generatetoaddress"))
        self._screen.result({"address": address, "blocks": blocks})

    async def _watch(self, line: Line) -> None:
        watched = inner(line)
        if watched is line or watched.command in OWN_HELP:
            raise BadArgument("watch: expected a command of a server, as in: watch getbalance")
        link, command = await self._find(watched.command, watched.wallet)
        if command.described.get("changes"):
            raise BadArgument(f"{watched.command} changes something: it is not to be run again and again")

        async def render() -> Fragments:
            result = await self._call(watched, link, command)
            if watched.command in FOR_PERSONS and not watched.json and not isinstance(result, str):
                return painted_fragments(text_of(watched.command, result, self._screen.paint))
            return result_fragments(result)

        title = " ".join([watched.command, *watched.words])
        await self._person.watch(title, render, TOPICS.get(link.role, frozenset({"up"})))

    async def _logs(self, line: Line) -> None:
        calls, follow = ([], False) if line.named else read_words("logs", line.words)
        if not follow:
            await self._serve(line)
            return
        words = calls[0]
        unit, lines = words[0] if words else "", words[1] if len(words) > 1 else LINES
        printer = Printer(self._screen, with_name=not unit)
        session = await self._connections.follow_logs(unit, int(lines), printer)
        await self._until_cancelled(session.closed, session.abort)

    async def _events(self, line: Line) -> None:
        if line.named:
            await self._serve(line)
            return
        words, as_json = without_json(line.words)
        printer = EventPrinter(self._screen, as_json=as_json or line.json)
        session = await self._connections.follow_events(read_kinds(words), printer)
        await self._until_cancelled(session.closed, session.abort)

    async def _until_cancelled(self, closed: Awaitable[None], abort: Callable[[], None]) -> None:
        """Something is being followed on a connection, which ends with this."""
        try:
            await asyncio.shield(closed)
            self._screen.pieces([("class:note", "The supervisor has ended.")])
        except asyncio.CancelledError:
            return
        finally:
            abort()


def with_json_anywhere(line: Line) -> Line:
    """The line with -json taken from among the words of a supervisor's command."""
    words, asked = without_json(line.words)
    if not asked or line.named or inner(line).command not in FOR_PERSONS:
        return line
    return replace(line, words=words, json=True)


class Printer(LogSink):
    """Prints the log lines that it is told."""

    def __init__(self, screen: Screen, *, with_name: bool) -> None:
        self._screen = screen
        self._with_name = with_name

    async def lines(self, unit: str, lines: list[str]) -> None:
        prefix = f"{unit}: " if self._with_name else ""
        for line in lines:
            self._screen.pieces([("class:note", prefix), ("", layout.printable(line))])


class EventPrinter(NoticeSink):
    """Prints the events that it is told."""

    def __init__(self, screen: Screen, *, as_json: bool) -> None:
        self._screen = screen
        self._text = compact if as_json else event_text

    async def event(self, notice: dict[str, Any]) -> None:
        self._screen.pieces([("", self._text(notice))])


def _help_fragments(text: str) -> Fragments:
    """Headings stand out."""
    pieces: Fragments = []
    for line in text.splitlines(keepends=True):
        heading = line.startswith("==") or (line.rstrip().endswith(":") and not line.startswith(" "))
        pieces.append(("class:heading" if heading else "", line))
    return pieces
