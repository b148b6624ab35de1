"""A command's result on the whole screen, shown anew when a notification says that it may have changed."""

import asyncio
from collections.abc import Awaitable, Callable

from prompt_toolkit.application import Application, get_app
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import HSplit, Layout, Window
from prompt_toolkit.layout.controls import FormattedTextControl
from prompt_toolkit.output import Output

from bitcoind_mp.cli.arguments import BadArgument
from bitcoind_mp.cli.command.printed import error_text
from bitcoind_mp.interfaces.errors import RpcError

from .client import Connections
from .highlight import Fragments
from .style import STYLE
from .toolbar import fragments

Render = Callable[[], Awaitable[Fragments]]


class Watch:
    """One command being watched."""

    def __init__(self, connections: Connections, title: str, render: Render, topics: frozenset[str]) -> None:
        self.shown: Fragments = []
        self._connections = connections
        self._title = title
        self._render = render
        self._topics = topics
        self._scroll = 0
        self._stale = asyncio.Event()
        self._stale.set()
        self._application: Application[None] | None = None

    async def run(self, *, input: Input | None = None, output: Output | None = None) -> None:
        """Until q, Ctrl-C or Ctrl-D."""
        self._application = Application(
            layout=Layout(self._windows()),
            key_bindings=self._bindings(),
            style=STYLE,
            include_default_pygments_style=False,
            full_screen=True,
            input=input,
            output=output,
        )
        listener = self._notified
        self._connections.listeners.add(listener)
        refreshing = asyncio.get_running_loop().create_task(self._refresh())
        try:
            await self._application.run_async(handle_sigint=False)
        finally:
            self._connections.listeners.discard(listener)
            refreshing.cancel()

    def _notified(self, topic: str) -> None:
        if topic in self._topics:
            self._stale.set()
        if self._application is not None:
            self._application.invalidate()

    async def _refresh(self) -> None:
        """Ask again whenever something was told; what was told meanwhile makes it once more."""
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                self.shown = await self._render()
            except RpcError as error:
                self.shown = [("class:error", error_text(error.code, error.message))]
            except (OSError, BadArgument) as error:
                self.shown = [("class:error", f"error: {error}")]
            if self._application is not None:
                self._application.invalidate()

    def _windows(self) -> HSplit:
        body = FormattedTextControl(lambda: FormattedText(self.shown), focusable=True, show_cursor=False)
        return HSplit(
            [
                Window(FormattedTextControl(self._heading), height=1),
                Window(height=1),
                Window(body, wrap_lines=False, get_vertical_scroll=lambda window: self._scroll),
                Window(FormattedTextControl(self._toolbar), height=1),
            ]
        )

    def _toolbar(self) -> FormattedText:
        return FormattedText(fragments(self._connections.seen, get_app().output.get_size().columns))

    def _heading(self) -> FormattedText:
        return FormattedText(
            [("class:heading", f" {self._title}"), ("class:note", "   shown anew at each change; q leaves")]
        )

    def _bindings(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("q")
        @keys.add("c-c")
        @keys.add("c-d")
        @keys.add("<sigint>")
        def _leave(event: KeyPressEvent) -> None:
            event.app.exit()

        def scroll(*names: str, lines: Callable[[int], int]) -> None:
            def move(event: KeyPressEvent) -> None:
                page = max(1, event.app.output.get_size().rows - 4)
                most = max(0, sum(text.count("\n") for _, text in self.shown) + 1 - page)
                self._scroll = min(most, max(0, self._scroll + lines(page)))

            for name in names:
                keys.add(name)(move)

        scroll("up", "k", lines=lambda page: -1)
        scroll("down", "j", lines=lambda page: 1)
        scroll("pageup", "b", lines=lambda page: -page)
        scroll("pagedown", "space", lines=lambda page: page)
        return keys
