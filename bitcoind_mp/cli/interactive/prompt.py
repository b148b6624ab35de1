"""The line that is typed: prompt_toolkit put together from the pure parts (`line`, `complete`, `toolbar`)."""

from collections.abc import AsyncGenerator, Callable, Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText, StyleAndTextTuples
from prompt_toolkit.history import History
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.output import Output

from .complete import OWN, complete, place
from .line import GENERATE, BadLine, inner, is_finished, parse, split
from .live import LiveData
from .style import STYLE
from .toolbar import Seen, fragments

INDENT = "  "


class LiveCompleter(Completer):
    """`complete` on live data: what must be asked for is asked for when Tab is pressed."""

    def __init__(self, data: LiveData) -> None:
        self._data = data

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Never asked: everything here is asynchronous."""
        return ()

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        text = document.text_before_cursor
        known = self._data.now()
        await self._data.with_kinds(place(text, known).kind.split("|"), known, wallet_of(text))
        for found in complete(text, known):
            yield Completion(found.text, start_position=-found.replaces, display_meta=found.meta)


def wallet_of(text: str) -> str | None:
    """The wallet that the line chooses by -rpcwallet, None where it doesn't."""
    try:
        return parse(text).wallet
    except BadLine:
        return None


class LineLexer(Lexer):
    """A line's command stands out once it is one."""

    def __init__(self, is_command: Callable[[str], bool]) -> None:
        self._is_command = is_command

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        spans = _spans(document.text, self._is_command)
        starts = [0]
        for line in document.lines:
            starts.append(starts[-1] + len(line) + 1)

        def line_fragments(number: int) -> StyleAndTextTuples:
            first, last = starts[number], starts[number + 1] - 1
            pieces: StyleAndTextTuples = []
            position = first
            for start, end, style in spans:
                if first <= start and end <= last:
                    pieces += [("", document.text[position:start]), (style, document.text[start:end])]
                    position = end
            return [*pieces, ("", document.text[position:last])]

        return line_fragments


def _spans(text: str, is_command: Callable[[str], bool]) -> list[tuple[int, int, str]]:
    try:
        words = split(text)
    except BadLine:
        return []
    found = []
    for word in words:
        if word.text.startswith("-") and word.text.lstrip("-") != GENERATE:
            found.append((word.start, word.end, "class:line.option"))
            continue
        known = word.text in OWN or word.text.lstrip("-") == GENERATE or is_command(word.text)
        found.append((word.start, word.end, "class:line.command" if known else "class:line.unknown"))
        if word.text != "watch":
            break
    return found


def bindings() -> KeyBindings:
    """Enter ends a finished line, and goes on with an unfinished one on the next, indented."""
    keys = KeyBindings()

    @keys.add("enter")
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None
        elif is_finished(buffer.text):
            buffer.suggestion = None  # nothing but what was typed stays on the screen
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n" + INDENT * _depth(buffer.document.text_before_cursor))

    @keys.add("escape", "enter")
    def _newline(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def _depth(text: str) -> int:
    """How many brackets are open, quotes not looked at: it is only for the indentation."""
    return max(0, sum(text.count(c) for c in "[{") - sum(text.count(c) for c in "]}"))


def prompt_text(seen: Seen) -> FormattedText:
    """``regtest alice> ``."""
    pieces = [("class:prompt.chain", seen.chain)]
    if seen.wallet is not None:
        pieces.append(("class:prompt.wallet", f" {seen.wallet or '(default wallet)'}"))
    return FormattedText([*pieces, ("class:prompt.sign", "> ")])


def continuation(width: int, line_number: int, wrap_count: int) -> FormattedText:
    """Before each further line."""
    return FormattedText([("class:prompt.sign", ".".rjust(width - 1) + " ")])


def make_session(
    seen: Seen,
    data: LiveData,
    history: History,
    *,
    input: Input | None = None,
    output: Output | None = None,
) -> "PromptSession[str]":
    """The prompt. Its toolbar is drawn anew when somebody invalidates its application, not on a timer."""

    def is_command(name: str) -> bool:
        return inner(parse(name)).command in data.now().commands

    return PromptSession(
        lambda: prompt_text(seen),
        multiline=True,
        prompt_continuation=continuation,
        completer=LiveCompleter(data),
        complete_while_typing=False,
        reserve_space_for_menu=6,
        auto_suggest=AutoSuggestFromHistory(),
        history=history,
        lexer=LineLexer(is_command),
        key_bindings=bindings(),
        bottom_toolbar=lambda: FormattedText(fragments(seen, get_app().output.get_size().columns)),
        style=STYLE,
        include_default_pygments_style=False,
        refresh_interval=0,
        enable_suspend=True,
        input=input,
        output=output,
    )
