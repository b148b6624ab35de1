"""A method's docstring taken apart: summary, description, Args, Returns, Examples (the Google layout)."""

import re
from dataclasses import dataclass, field

_SECTION = re.compile(r"^(Args|Arguments|Returns|Return|Raises|Examples?|Result)( \([^)]*\))?:\s*$")
_ARGUMENT = re.compile(r"^(\w+)(?: \(([^)]*)\))?:\s*(.*)$")


@dataclass(frozen=True)
class Docstring:
    """``description`` holds the summary too; ``arguments`` by name, and by name in ``types`` what stands in brackets
    after it, where anything does; ``returns`` and ``examples`` as they stand."""

    summary: str = ""
    description: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    returns: str = ""
    examples: str = ""


def parse_docstring(text: str) -> Docstring:
    """Take apart a docstring whose indentation was removed (`inspect.getdoc`)."""
    sections: dict[str, list[str]] = {"": []}
    current = ""
    for line in text.splitlines():
        if match := _SECTION.match(line):
            current = match[1]
            sections.setdefault(current, [])
        elif current and line and not line[0].isspace():
            current = ""
            sections[current].append(line)
        else:
            sections[current].append(line)
    description = "\n".join(sections[""]).strip()
    arguments, types = _arguments(_dedent(sections.get("Args") or sections.get("Arguments") or []))
    return Docstring(
        summary=" ".join(description.split("\n\n")[0].split()),
        description=description,
        arguments=arguments,
        types=types,
        returns="\n".join(_dedent(sections.get("Returns") or sections.get("Return") or sections.get("Result") or [])),
        examples="\n".join(_dedent(sections.get("Examples") or sections.get("Example") or [])),
    )


def _dedent(lines: list[str]) -> list[str]:
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    stripped = [line[margin:].rstrip() for line in lines]
    while stripped and not stripped[-1]:
        stripped.pop()
    while stripped and not stripped[0]:
        stripped.pop(0)
    return stripped


def _arguments(lines: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    found: dict[str, str] = {}
    types: dict[str, str] = {}
    name = ""
    for line in lines:
        match = _ARGUMENT.match(line)
        if match and not line[0].isspace():
            name = match[1]
            found[name] = match[3]
            types.update({name: match[2]} if match[2] else {})
        elif name and line.strip():
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found, types
