"""From the words of a command to its parameters, as bitcoin-cli reads them (``src/rpc/client.cpp``).

Which word is JSON and which is text follows from the types in the server's table of commands (``run/*.json``): a
parameter that can only be a string is taken as it is, every other one is JSON; a block's hash or height is JSON where
it parses. What comes out is the text of the request's ``params``.
"""

from .jsontext import NotJson, parse, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .jsontext import Number

JSON = "json"
STRING = "string"
EITHER = "either"
#: What Core's parameters that are read as either are called.
HASH_OR_HEIGHT = "hash_or_height"


class BadArgument(ValueError):
    """A word can't be what its parameter has to be."""


class Command:
    """One command as its server describes it (``ipc/declared/manifest.py``): ``parameters`` is (name, format) in order,
    ``names`` every name a parameter may be given by, older ones and members of an options parameter included."""

    def __init__(self, described: "dict[str, Any]") -> None:
        self.name: str = described["name"]
        self.described = described
        self.parameters: list[tuple[str, str]] = []
        self.names: dict[str, str] = {}
        for parameter in described.get("params", ()):
            form = format_of(parameter)
            self.parameters.append((parameter["name"], form))
            self.names[parameter["name"]] = form
            for alias in parameter.get("aliases", ()):
                self.names[alias] = form
        for member in described.get("named", ()):
            self.names.setdefault(member["name"], format_of(member))

    def format_at(self, position: int) -> str:
        """How the word at that position is read; text beyond the last parameter, as in bitcoin-cli."""
        return self.parameters[position][1] if position < len(self.parameters) else STRING


def format_of(parameter: "dict[str, Any]") -> str:
    """`JSON`, `STRING` or `EITHER`. An amount may be a string too, but isn't written as one here."""
    if parameter["name"] == HASH_OR_HEIGHT:
        return EITHER
    return STRING if parameter.get("type", "string") == "string" else JSON


def value_text(word: str, form: str) -> str:
    """One word as JSON text. Raises `BadArgument` with bitcoin-cli's words."""
    if form == STRING:
        return quote(word)
    try:
        parse(word)
    except NotJson:
        if form == JSON:
            raise BadArgument(f"Error parsing JSON: {word}") from None
        return quote(word)
    # One message is one line. Inside a JSON string there is no bare newline, so these only separate.
    return word.strip().replace("\n", " ").replace("\r", " ")


def positional(command: Command, words: "list[str]") -> str:
    """``params`` by position: a JSON array."""
    texts = [value_text(word, command.format_at(index)) for index, word in enumerate(words)]
    return "[" + ",".join(texts) + "]"


def named(command: Command, words: "list[str]") -> str:
    """``params`` by name: a JSON object, in which ``args`` holds what was given by position.

    A word with ``=`` is ``name=value``, unless its name is none of the command's and the next parameter by position
    takes it as it stands: JSON that parses, or text that may well be so (``createwallet my=wallet``).
    """
    members: dict[str, str] = {}
    by_position: list[str] = []
    for word in words:
        name, equals, text = word.partition("=")
        form = command.format_at(len(by_position))
        if not equals or (name not in command.names and _stands_alone(command.name, len(by_position), word, form)):
            by_position.append(value_text(word, form))
        else:
            members[name] = value_text(text, command.names.get(name, STRING))
    pairs = [f"{quote(name)}:{text}" for name, text in members.items()]
    if by_position:
        pairs.append('"args":[' + ",".join(by_position) + "]")
    return "{" + ",".join(pairs) + "}"


def _stands_alone(command: str, position: int, word: str, form: str) -> bool:
    if form != JSON:
        from .freetext import is_free_text

        return is_free_text(command, position)
    try:
        parse(word)
    except NotJson:
        return False
    return True


def request(method: str, params: str, *, wallet: "str | None" = None, identity: "int | Number" = 1) -> bytes:
    """The request's line, without its newline."""
    chosen = "" if wallet is None else f',"wallet":{quote(wallet)}'
    text = f'{{"jsonrpc":"2.0","id":{identity},"method":{quote(method)},"params":{params}{chosen}}}'
    return text.encode("utf-8", "surrogateescape")
