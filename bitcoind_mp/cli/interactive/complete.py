"""What Tab offers: a pure function of the text before the cursor and what is known.

`wanted` says which kind of thing the cursor stands at, so that the shell can fetch those few that have to be asked for;
`complete` then chooses among them.
"""

import os.path
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bitcoind_mp.cli.arguments import Command
from bitcoind_mp.interfaces.notices import KINDS as KINDS_OF_EVENTS

from .line import BadLine, Unfinished, Word, split

COMMAND = "command"
WATCHED = "command that changes nothing"
WALLET = "wallet"
ADDRESS = "address"
TXID = "txid"
BLOCK = "block"
WALLET_FILE = "wallet file"
LABEL = "label"
FILE = "file"
UNIT = "unit"
CHOICE = "choice"
NAME = "name"

#: What a parameter of that name holds.
KINDS = {
    "address": ADDRESS,
    "addresses": ADDRESS,
    "change_address": ADDRESS,
    "txid": TXID,
    "txids": TXID,
    "blockhash": BLOCK,
    "hash": BLOCK,
    "hash_or_height": BLOCK,
    "wallet_name": WALLET,
    "filename": WALLET_FILE,
    "label": LABEL,
    "destination": FILE,
    "backup_file": FILE,
    "path": FILE,
    "unit": UNIT,
    "command": COMMAND,
}
#: Parameters with few possible values.
CHOICES = {
    "address_type": ("legacy", "p2sh-segwit", "bech32", "bech32m"),
    "change_type": ("legacy", "p2sh-segwit", "bech32", "bech32m"),
    "estimate_mode": ("unset", "economical", "conservative"),
    "sighashtype": ("DEFAULT", "ALL", "NONE", "SINGLE", "ALL|ANYONECANPAY", "NONE|ANYONECANPAY", "SINGLE|ANYONECANPAY"),
}
#: Commands of the shell itself, and what their first word is.
OWN = {
    "help": COMMAND,
    "watch": WATCHED,
    "use": WALLET,
    "exit": "",
    "clear": "",
}
#: How each is written.
OWN_USAGE = {
    "help": "help ( command )",
    "watch": "watch command ( parameters )",
    "use": "use ( wallet )",
    "exit": "exit",
    "clear": "clear",
}
OWN_HELP = {
    "help": "List all commands, or get help for a specified command.",
    "watch": "Run a command again whenever what it shows may have changed.",
    "use": "Choose the wallet that commands go to.",
    "exit": "Leave the shell (also Ctrl-D).",
    "clear": "Clear the screen.",
}


@dataclass(frozen=True)
class Candidate:
    """One offer: ``text`` replaces the ``replaces`` characters before the cursor; ``meta`` is said beside it."""

    text: str
    replaces: int
    meta: str = ""


@dataclass
class Known:
    """What there is to choose from. ``commands`` are the servers', by name."""

    commands: dict[str, Command] = field(default_factory=dict)
    wallets: list[str] = field(default_factory=list)
    wallet_files: list[str] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)
    txids: dict[str, str] = field(default_factory=dict)
    blocks: dict[str, str] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    list_files: Callable[[str], Iterable[str]] = lambda prefix: ()


@dataclass(frozen=True)
class Place:
    """Where the cursor stands: what ``kind`` of thing, the ``prefix`` that is typed of it, as ``word`` in the line
    (quotes and all), and the ``choices`` where the kind has its own."""

    kind: str
    prefix: str = ""
    word: str = ""
    choices: tuple[str, ...] = ()


def place(text: str, known: Known) -> Place:
    """What the cursor at the end of ``text`` stands at."""
    before, word = _last_word(text)
    if word.startswith(("[", "{")):
        return _in_json(word)
    words = [each.text for each in before]
    named = False
    while words and words[0].startswith("-"):
        named = named or words[0].lstrip("-") == "named"
        words.pop(0)
    prefix = word.lstrip("'\"")
    if not words:
        if word.startswith("-rpcwallet="):
            return Place(WALLET, word.removeprefix("-rpcwallet="), word.removeprefix("-rpcwallet="))
        if word.startswith("-"):
            return Place(CHOICE, word, word, ("-named", "-rpcwallet=", "-json"))
        return Place(COMMAND, prefix, word)
    return _parameter(words, prefix, word, named, known)


def _parameter(words: list[str], prefix: str, word: str, named: bool, known: Known) -> Place:
    name, position = words[0], len(words) - 1
    if name == "watch" and position > 0:
        return _parameter(words[1:], prefix, word, named, known)
    if name in OWN and name != "help":
        return Place(OWN[name] if position == 0 else "", prefix, word)
    if name == "help":
        return Place(COMMAND if position == 0 else "", prefix, word)
    command = known.commands.get(name)
    if command is None:
        return Place("", prefix, word)
    if name == "logs" and word.startswith("-"):
        return Place(CHOICE, prefix, word, ("-f", "-n"))
    if name == "events" and not named:
        return Place(CHOICE, prefix, word, ("-json",) if word.startswith("-") else KINDS_OF_EVENTS)
    if named:
        parameter, equals, value = word.partition("=")
        if not equals:
            return Place(NAME, prefix, word, tuple(f"{each}=" for each in command.names))
        return _of_name(parameter, value.lstrip("'\""), value)
    if position >= len(command.parameters):
        return Place("", prefix, word)
    return _of_name(command.parameters[position][0], prefix, word, command, position)


def _of_name(name: str, prefix: str, word: str, command: Command | None = None, position: int = 0) -> Place:
    if name in CHOICES:
        return Place(CHOICE, prefix, word, CHOICES[name])
    described = command.described["params"][position] if command is not None else {}
    if described.get("type") == "boolean":
        return Place(CHOICE, prefix, word, ("true", "false"))
    return Place(KINDS.get(name, ""), prefix, word)


def _in_json(word: str) -> Place:
    """Inside a JSON text only an open string can be completed: an address or a transaction."""
    try:
        split(word)
    except Unfinished as unfinished:
        if unfinished.inside != '"':
            return Place("")
        prefix = word[word.rindex('"') + 1 :]
        return Place(f"{ADDRESS}|{TXID}" if prefix else "", prefix, prefix)
    return Place("")


def _last_word(text: str) -> tuple[list[Word], str]:
    """The finished words, and the text of the one that the cursor ends (empty after a blank)."""
    try:
        words = split(text)
    except Unfinished:
        return _around_open_quote(text)
    except BadLine:
        return [], ""
    if words and words[-1].end == len(text):
        return words[:-1], text[words[-1].start :]
    return words, ""


def _around_open_quote(text: str) -> tuple[list[Word], str]:
    for start in range(len(text) - 1, -1, -1):
        if start and text[start - 1] not in " \t\r\n":
            continue
        try:
            words = split(text[:start])
        except Unfinished:
            continue
        return words, text[start:]
    return [], text


def complete(text: str, known: Known) -> list[Candidate]:
    """What to offer for the text before the cursor."""
    where = place(text, known)
    offers: list[tuple[str, str]] = []
    for kind in where.kind.split("|"):
        offers += _of_kind(kind, where, known)
    quote = where.word[:1] if where.word[:1] in ("'", '"') else ""
    found = []
    for offer, meta in offers:
        if offer.startswith(where.prefix) and offer != where.prefix:
            fits = quote and quote not in offer and "\\" not in offer
            shown = quote + offer + quote if fits else _quoted(offer, where.kind)
            found.append(Candidate(shown, len(where.word), meta))
    return found


def _of_kind(kind: str, where: Place, known: Known) -> list[tuple[str, str]]:
    if kind == COMMAND:
        return sorted({**_summaries(known, where.prefix, watched=False), **OWN_HELP}.items())
    if kind == WATCHED:
        return sorted(_summaries(known, where.prefix, watched=True).items())
    if kind == FILE:
        return [(path, "") for path in known.list_files(where.prefix)]
    if kind in (CHOICE, NAME):
        return [(choice, "") for choice in where.choices]
    plain = {WALLET: known.wallets, WALLET_FILE: known.wallet_files, LABEL: known.labels, UNIT: known.units}
    if kind in plain:
        return [(offer, "") for offer in plain[kind]]
    told = {ADDRESS: known.addresses, TXID: known.txids, BLOCK: known.blocks}
    return list(told.get(kind, {}).items())


def _summaries(known: Known, begun: str, *, watched: bool) -> dict[str, str]:
    """What each command does. Core's for tests (generatetoaddress, setmocktime) are offered to whoever has begun one;
    those that our own programs call never."""
    return {
        name: str(command.described.get("summary", ""))
        for name, command in known.commands.items()
        if (not command.described.get("hidden") or (begun and command.described.get("topic") == "hidden"))
        and not (watched and command.described.get("changes"))
    }


def _quoted(offer: str, kind: str) -> str:
    if kind in (COMMAND, WATCHED, NAME, CHOICE) or "|" in kind:
        return offer
    if not offer or any(character in " \t'\"\\" for character in offer) or offer[0] in "[{":
        return "'" + offer.replace("'", "'\\''") + "'"
    return offer


def list_files(prefix: str) -> list[str]:
    """Paths that start with ``prefix``, directories with a slash."""
    directory, name = os.path.split(os.path.expanduser(prefix))
    shown = os.path.split(prefix)[0]
    try:
        with os.scandir(directory or ".") as entries:
            found = [(e.name, e.is_dir()) for e in entries if e.name.startswith(name) and (name or e.name[0] != ".")]
    except OSError:
        return []
    return [os.path.join(shown, entry) + ("/" if is_directory else "") for entry, is_directory in sorted(found)]
