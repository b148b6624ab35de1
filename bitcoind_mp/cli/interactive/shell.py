"""The shell: who is there, who is started, and the loop of reading a line and carrying it out."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from io import TextIOWrapper
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.layout.processors import PasswordProcessor, Processor
from prompt_toolkit.output import Output, create_output

from bitcoind_mp import __version__
from bitcoind_mp.cli.command.absent import nobody_text
from bitcoind_mp.cli.command.printed import drop_output
from bitcoind_mp.config import Config

from .client import Connections
from .complete import OWN
from .highlight import Fragments
from .history import SafeHistory, history_file
from .interpreter import Interpreter, Person
from .launch import PrivateSupervisor
from .line import commands
from .live import LiveData
from .prompt import make_session
from .screen import Plain, Screen, Terminal
from .style import STYLE
from .typeahead import kept
from .watch import Watch

#: A unit's states that a start leads to.
_SETTLED = ("running", "stopped", "failed", "backoff", "held")


def run_shell(config: Config) -> int:
    """The exit status: 0 for a shell that was left; of lines read from a pipe, 1 if one went wrong."""
    if not sys.stdin.isatty():
        for stream in (sys.stdin, sys.stdout):  # whatever the locale says, as for a single command
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(encoding="utf-8", errors="surrogateescape")
        first = sys.stdin.readline()
        if not first:
            print("error: too few parameters (need at least command)", file=sys.stderr)
            return 1
        return asyncio.run(run_lines(config, first))
    try:
        return asyncio.run(Shell(config, create_input(), create_output(sys.stdout)).run())
    except asyncio.CancelledError:  # by SIGTERM or SIGHUP, everything put away
        return 128 + signal.SIGTERM


async def run_lines(config: Config, line: str) -> int:
    """Carry out the lines of standard input, of which one has been read."""
    connections = Connections(config)
    if not connections.anybody():
        print(f"error: {nobody_text(config)}", file=sys.stderr)
        return 1
    connections.start()
    interpreter = Interpreter(connections, Plain(), Nobody())
    failed = False
    try:
        while line:
            await interpreter.run(line)
            failed = failed or interpreter.failed
            line = "" if interpreter.left else await asyncio.to_thread(sys.stdin.readline)
    except BrokenPipeError:
        drop_output()
        return 1
    finally:
        await connections.close()
    return int(failed)


class Nobody(Person):
    """Lines from a pipe: nobody is asked."""

    async def secret(self, question: str) -> str:
        raise EOFError

    async def answer(self, question: str) -> str:
        raise EOFError

    async def watch(self, title: str, render: Callable[[], Awaitable[Fragments]], topics: frozenset[str]) -> None:
        Plain().pieces(await render())

    def clear(self) -> None:
        return


class Shell(Person):
    """A shell on a terminal."""

    def __init__(self, config: Config, input: Input, output: Output) -> None:
        self._config = config
        self._input = input
        self._output = output
        self._connections = Connections(config)
        self._screen: Screen = Terminal(output, colour=config.get_str("color") != "never")
        self._interpreter = Interpreter(self._connections, self._screen, self)
        data = LiveData(self._connections)
        history = SafeHistory(
            history_file(config.chain, dict(os.environ)), lambda name: data.now().commands.get(name), OWN
        )
        self._prompt = make_session(self._connections.seen, data, history, input=input, output=output)
        self._private: PrivateSupervisor | None = None
        self._running: asyncio.Task[Any] | None = None
        self._cancelled = False

    async def run(self) -> int:
        """Until the person leaves. The exit status."""
        loop = asyncio.get_running_loop()
        this = asyncio.current_task()
        assert this is not None
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, this.cancel)
        try:
            with kept(self._input):
                return await self._live()
        finally:
            await self._connections.close()
            if self._private is not None:
                self._screen.note("Stopping the private supervisor…")
                await self._private.stop()
                self._screen.note("")

    async def _live(self) -> int:
        if not await self._somebody():
            return 1
        self._connections.listeners.add(self._redraw)
        self._connections.start()
        if self._private is not None and not await self._interruptibly(self._started(self._private)):
            return 1
        self._greet()
        await self._loop()
        return 0

    # Coming up

    async def _somebody(self) -> bool:
        """Make sure that there is somebody to talk to, by -ipcconnect. False: the person has been told why not."""
        mode, _ = self._config.ipc_connect
        await self._connections.until_stopped(self._screen.note)
        self._screen.note("")
        if mode != "0" and self._connections.anybody():
            return True
        if mode == "0" or (mode == "auto" and await self._wants_private()):
            self._private = await PrivateSupervisor.start(self._config)
            return True
        self._screen.error(f"error: {nobody_text(self._config)}")
        return False

    async def _wants_private(self) -> bool:
        self._screen.text(f"Nothing is running for {self._config.chain} in {self._config.network_path}.")
        try:
            answer = await self.answer("Start a private supervisor, which ends with this shell? [Y/n] ")
        except (EOFError, KeyboardInterrupt):
            return False
        return answer.strip().lower() in ("", "y", "yes")

    async def _started(self, private: PrivateSupervisor) -> bool:
        """Wait until the private supervisor's units have come up. False: it ended, the person has been told why."""
        settled = asyncio.get_running_loop().create_future()

        def look(topic: str) -> None:
            units = (self._connections.seen.unit or {}).get("units", [])
            if self._connections.pid("supervisor") != private.pid:
                return  # another one, which keeps ours from starting
            self._screen.note("Starting… " + ", ".join(f"{unit['name']} {unit['state']}" for unit in units))
            if units and all(unit["state"] in _SETTLED for unit in units) and not settled.done():
                settled.set_result(None)

        look("")
        self._connections.listeners.add(look)
        ended = asyncio.get_running_loop().create_task(private.ended())
        try:
            await asyncio.wait((settled, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections.listeners.discard(look)
            self._screen.note("")
            if not ended.done():
                ended.cancel()
        if ended.done() and not settled.done():
            self._screen.error(ended.result())
            return False
        return True

    def _greet(self) -> None:
        self._screen.pieces(
            [
                ("class:heading", f"bitcoin-mp {__version__}"),
                ("class:note", f" on {self._config.chain}. Tab completes, help lists commands, Ctrl-D leaves."),
            ]
        )

    # The loop

    async def _loop(self) -> None:
        while not self._interpreter.left:
            try:
                text = await self._prompt.prompt_async(handle_sigint=False)
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            await self._carry_out(text)

    async def _carry_out(self, text: str) -> None:
        """What was accepted: one command, or each of several that were pasted, until one is cancelled."""
        for command in commands(text):
            self._cancelled = False
            await self._interruptibly(self._interpreter.run(command))
            if self._cancelled or self._interpreter.left:
                return

    async def _interruptibly(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Wait for it; Ctrl-C cancels that, and nothing else. None where it was cancelled."""
        self._running = asyncio.get_running_loop().create_task(work)
        try:
            await asyncio.wait((self._running,))
            return None if self._running.cancelled() else self._running.result()
        finally:
            if not self._running.done():
                self._running.cancel()
            self._running = None

    def _interrupt(self) -> None:
        if self._running is not None:
            self._cancelled = True
            self._running.cancel()

    def _redraw(self, topic: str) -> None:
        if self._prompt.app.is_running:
            self._prompt.app.invalidate()

    # Person

    async def secret(self, question: str) -> str:
        return await self._ask(question, hidden=True)

    async def answer(self, question: str) -> str:
        return await self._ask(question, hidden=False)

    async def _ask(self, question: str, *, hidden: bool) -> str:
        self._screen.note("")
        # Nothing at all is shown of a secret, not even how long it is.
        processors: list[Processor] = [PasswordProcessor("")] if hidden else []
        asking: PromptSession[str] = PromptSession(
            question, input_processors=processors, style=STYLE, input=self._input, output=self._output
        )
        return await asking.prompt_async(handle_sigint=False)

    async def watch(self, title: str, render: Callable[[], Awaitable[Fragments]], topics: frozenset[str]) -> None:
        watching = Watch(self._connections, title, render, topics)
        await watching.run(input=self._input, output=self._output)
        self._screen.pieces(watching.shown)

    def clear(self) -> None:
        self._output.erase_screen()
        self._output.cursor_goto(0, 0)
        self._output.flush()
