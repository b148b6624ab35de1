"""The manual pages: ``python -m bitcoind_mp.config.manual DIRECTORY`` writes each from its ``.in`` file there.

In an ``.in`` file, mdoc(7), ``@OPTIONS@`` stands for the options of the program that the page is about (of all, for the
configuration file's page), ``@EXIT_STATUS@`` for the table of failures, and ``@DATE@`` for the date below. The options'
words are their table's.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from bitcoind_mp.interfaces.failures import FAILURES, Verdict

from .help import described, paragraph
from .option import PROGRAMS, Option
from .options import CATEGORIES, GENERAL, TABLE

#: When the pages were last worked on.
DATE = "November 23, 2026"
WIDTH = 78  # two less than mandoc likes: room for what guards a line
_METAVAR = re.compile(r"<([^>]+)>|([\[\]])|([^<\[\]]+)")
_OPTION_IN_TEXT = re.compile(r"(?<![\w<-])-(?=[a-z])")
#: What stands beside the option as its argument, in italics as there.
_VARIABLE_IN_TEXT = re.compile(r"<([a-z]+)>")
_SENTENCE_END = re.compile(r"(?<=[.;]) (?=[A-Z-])")


def pages(directory: Path) -> dict[str, str]:
    """Each page's name and text, from the ``.in`` files in ``directory``."""
    return {source.stem: page(source.stem, source.read_text()) for source in sorted(directory.glob("*.in"))}


def page(name: str, source: str) -> str:
    """One page."""
    program = name.rpartition(".")[0]
    options = program_options(program) if program in PROGRAMS else file_options()
    text = source.replace("@DATE@", DATE).replace("@OPTIONS@\n", options).replace("@EXIT_STATUS@\n", exit_statuses())
    return "".join(_wrapped(line) + "\n" for line in text.splitlines())


def _wrapped(line: str) -> str:
    """Text in lines of at most 80 bytes, as mandoc likes them; requests as they are."""
    return line if len(line) <= WIDTH or line.startswith(".") else _guarded(paragraph(line, WIDTH, 0))


def _guarded(text: str) -> str:
    """No line of it taken for a request."""
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in text.split("\n"))


def program_options(program: str) -> str:
    """The options that a program takes, by category."""
    return _sections(
        [option for option in TABLE if option.taken_by(program) and not option.hidden],
        lambda option: f".It Fl {option.name}{_metavar(option)}\n{_text(described(option))}",
    )


#: What the supervisor does after such an end.
_POLICY = {
    Verdict.FOR_GOOD: "given up at once",
    Verdict.HOLD: "held until that has changed",
    Verdict.TRY_AGAIN: "tried again, never given up",
    Verdict.CRASH: "tried again, up to -startlimit times",
}


def exit_statuses() -> str:
    """The table of failures: exit status, cause, what becomes of a unit that ends so, and what a person can do."""
    lines = [".Bl -tag -width 000", ".It 0", "Stopped as asked."]
    for failure in FAILURES:
        if failure.status is not None:
            lines += [f".It {failure.status}", f".Dq {failure.cause} :", _text(f"{_POLICY[failure.verdict]}.")]
            lines.append(_text(failure.advice))
    return "\n".join([*lines, ".El"]) + "\n"


def file_options() -> str:
    """The options that may stand in the configuration file."""
    return _sections(
        [option for option in TABLE if option.where != "command" and not option.hidden],
        lambda option: f".It Cm {option.name}{_metavar(option)}\n{_text(described(option))}\n{_notes(option)}",
    )


def _sections(options: list[Option], item: Callable[[Option], str]) -> str:
    lines: list[str] = []
    for category in CATEGORIES:
        rows = sorted((option for option in options if option.category == category), key=lambda option: option.name)
        if rows:
            lines += [
                f".Ss {category if category != GENERAL else 'General options'}",
                ".Bl -tag -width Ds",
                *(item(row) for row in rows),
                ".El",
            ]
    return "\n".join(lines) + "\n"


def _metavar(option: Option) -> str:
    """``=<n>`` in mdoc; a flag shows none."""
    pieces = []
    for variable, bracket, text in _METAVAR.findall(option.metavar):
        if variable:
            pieces.append(f"Ar {variable}")
        elif bracket:
            pieces.append("Oo" if bracket == "[" else "Oc")
        else:
            pieces.append(f"No \\&{text}")
    return "".join(f" Ns {piece}" for piece in pieces)


def _notes(option: Option) -> str:
    """Who acts on it, and whether only in its network's section."""
    who = ", ".join(option.programs if len(option.programs) < len(PROGRAMS) else ("all",))
    return f"({who}{'; network only' if option.network_only else ''})"


def _text(words: str) -> str:
    """Words as roff text: one sentence a line, hyphens of options kept as they are."""
    text = words.replace("\\", "\\e")
    text = _SENTENCE_END.sub("\n", text)
    return _VARIABLE_IN_TEXT.sub(r"\\fI\1\\fR", _guarded(_OPTION_IN_TEXT.sub(r"\\-", text)))


def main() -> int:
    """Write the pages."""
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "man")
    found = pages(directory)
    for name, text in found.items():
        (directory / name).write_text(text)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
