"""The text of ``help``, in the layout of Bitcoin Core's (``RPCHelpMan::ToString``, ``src/rpc/util.cpp``), made from
signatures and docstrings."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from .signature import Method, Parameter, describe

_TYPE_WORDS = {
    "string": "string",
    "number": "numeric",
    "boolean": "boolean",
    "array": "json array",
    "object": "json object",
}


def usage(method: Method) -> str:
    """One line: ``getblock "blockhash" ( verbosity )``."""
    text = method.name
    optional = False
    for parameter in method.parameters:
        if optional and parameter.required:
            text += " )"
        elif not optional and not parameter.required:
            text += " ("
        optional = not parameter.required
        text += f" {_in_usage(parameter)}"
    return f"{text} )" if optional else text


def _in_usage(parameter: Parameter) -> str:
    kind = parameter.kinds[0] if parameter.kinds else ""
    if kind == "string" and len(parameter.kinds) == 1:
        return f'"{parameter.name}"'
    if kind == "array":
        element = parameter.element
        inner = (
            _in_usage(element)
            if element is not None and element.kinds and element.kinds[0] != "array"
            else parameter.name
        )
        return f"[{inner.replace(parameter.name, _singular(parameter.name))},...]"
    if kind == "object" and not parameter.named_only and parameter.name != "options":
        return '{"key":value,...}'
    return parameter.name


def _singular(name: str) -> str:
    if name.endswith("sses"):
        return name[:-2]
    return name[:-1] if name.endswith("s") and len(name) > 1 else name


def help_text(method: Method) -> str:
    """The whole help of one command."""
    text = f"{usage(method)}\n\n{method.doc.description or method.name}\n"
    rows = [
        (f"{index}. {parameter.name}", f"({_facts(parameter)}){_spaced(parameter.description)}")
        for index, parameter in enumerate(method.parameters, 1)
    ]
    if rows:
        text += f"\nArguments:\n{_columns(rows)}"
    named = [
        (inner.name, f"({_type_words(inner)}, optional){_spaced(inner.description)}")
        for parameter in method.parameters
        for inner in parameter.named_only
    ]
    if named:
        text += f"\nNamed Arguments:\n{_columns(named)}"
    if method.returns is type(None) or method.returns is None:
        text += "\nResult:\nnull    (json null)\n"
    elif method.doc.returns:
        text += f"\nResult:\n{_result(method)}{method.doc.returns}\n"
    if method.doc.examples:
        text += f"\nExamples:\n{method.doc.examples}\n"
    return text


def _result(method: Method) -> str:
    try:
        kinds = describe("result", method.returns).kinds
    except TypeError:
        return ""
    if len(kinds) != 1 or "\n" in method.doc.returns:
        return ""
    shape = {"string": '"str"', "number": "n", "boolean": "true|false", "array": "[...]", "object": "{...}"}[kinds[0]]
    return f"{shape}    ({_TYPE_WORDS[kinds[0]]}) "


def _facts(parameter: Parameter) -> str:
    if parameter.required:
        return f"{_type_words(parameter)}, required"
    if parameter.default is None or "default" in parameter.description.lower():
        return f"{_type_words(parameter)}, optional"
    return f"{_type_words(parameter)}, optional, default={_shown(parameter.default)}"


def _type_words(parameter: Parameter) -> str:
    if parameter.shown:
        return parameter.shown
    if sorted(parameter.kinds) == ["number", "string"]:
        return "numeric or string"  # an amount, in Core's words
    return " or ".join(_TYPE_WORDS[kind] for kind in reversed(parameter.kinds)) if parameter.kinds else "json value"


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else json.dumps(value, default=str)


def _spaced(text: str) -> str:
    return f" {text}" if text else ""


def _columns(rows: list[tuple[str, str]]) -> str:
    width = max(len(left) for left, _ in rows) + 4
    return "".join(f"{left:<{width}}{right}\n" for left, right in rows)


def help_command(methods: Iterable[Method], command: str = "") -> str:
    """What the ``help`` command answers: every command by topic, or one command's help (``CRPCTable::help``)."""
    commands = [method for method in methods if method.is_command]
    if command:
        found = next((help_text(method) for method in commands if method.name == command), None)
        return f"help: unknown command: {command}" if found is None else found.rstrip("\n")
    return help_list((m.declaration.topic, m.name, usage(m)) for m in commands if not m.declaration.hidden)


def help_list(commands: Iterable[tuple[str, str, str]]) -> str:
    """(topic, name, usage) of any number of servers' commands as one list by topic."""
    lines: list[str] = []
    current = ""
    for topic, _, line in sorted(commands):
        if topic != current:
            lines += [*([""] if current else []), f"== {topic.capitalize()} =="]
            current = topic
        lines.append(line)
    return "\n".join(lines)
