"""Commands that an operator has run on events: -blocknotify, -walletnotify, -alertnotify and -unitnotify.

What is due when, and what stands for what in a command line. How it is run is ``errands.py``'s.

What a notice says may come from a worker that was broken into. So nothing of it gets into a command line that a shell
could take for anything else, however the operator quoted it: hashes are 64 hexadecimal digits, numbers are numbers,
words are ours; a message has no character but Core's harmless ones; a wallet's name with others than letters,
digits and ``_.-`` stands in a variable, to which the line refers. Each notice's values are in variables too.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.notices import ALERT, TIP, TRANSACTION, UNIT

from .board import Notice

#: Prefix of the variables.
_PREFIX = "BITCOIN_MP_"
#: Core's SAFE_CHARS_DEFAULT (``src/util/strencodings.cpp``), but for the semicolon.
_UNSAFE = re.compile(r"[^A-Za-z0-9 .,\-_/:?@()]")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+\Z")
#: A unit's, but for one of a wallet whose name is not that plain (``wallet@cold\x20storage``).
_PLAIN_UNIT = re.compile(r"[A-Za-z0-9_.@:-]+\Z")
_HASH = re.compile(r"[0-9a-f]{64}\Z")
#: ``bitcoind``'s word for a transaction in no block.
_UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True)
class Hook:
    """What is run on a kind of notice. ``letters`` stand for values: ``%s`` and the like; ``at_once``: how many run
    beside each other, 1 where their order says something. ``loses``: whether commands may be left out where too many
    wait, not so where whoever gives the notices waits for them. ``applies``: whether a notice of the kind is meant."""

    option: str
    kind: str
    letters: Mapping[str, str]
    at_once: int = 1
    loses: bool = True
    applies: Callable[[Notice], bool] = lambda notice: True


HOOKS = (
    Hook("blocknotify", TIP, {"s": "HASH"}, at_once=4),
    Hook(
        "walletnotify", TRANSACTION, {"s": "TXID", "w": "WALLET", "b": "BLOCK", "h": "HEIGHT"}, at_once=4, loses=False
    ),
    Hook("alertnotify", ALERT, {"s": "MESSAGE"}, applies=lambda notice: bool(notice["raised"])),
    Hook("unitnotify", UNIT, {"u": "UNIT", "s": "STATE", "o": "BEFORE", "c": "CAUSE", "m": "MESSAGE"}),
)


def configured(config: Config) -> list[tuple[Hook, str]]:
    """The hooks that have a command, and that."""
    commands = {
        "blocknotify": config.get_str("blocknotify"),
        "walletnotify": config.get_str("walletnotify"),
        "alertnotify": config.get_str("alertnotify"),
        "unitnotify": config.get_str("unitnotify"),
    }
    return [(hook, commands[hook.option]) for hook in HOOKS if commands[hook.option]]


def values(notice: Notice) -> dict[str, str]:
    """What a command may want to know, by the variable's name without its prefix.

    Raises:
        ValueError: it is not what such a notice has; nothing is to be run.
    """
    found = {name: _text(value) for name, value in notice.items() if name not in ("kind", "time", "block_time")}
    renamed = {"reason": "message", "text": "message"}
    found = {renamed.get(name, name).upper(): value for name, value in found.items()}
    if notice["kind"] == TRANSACTION:
        found["BLOCK"] = found["BLOCK"] or _UNCONFIRMED
    if notice["kind"] == UNIT:
        found["CAUSE"] = found["CAUSE"] or "none"
    for name in ("HASH", "TXID", "BLOCK"):
        if not _HASH.match(found.get(name, "0" * 64)) and found[name] != _UNCONFIRMED:
            raise ValueError(f"{name.lower()} is no hash")
    if "WALLET" in found and ("\0" in found["WALLET"] or not _is_text(found["WALLET"])):
        raise ValueError("that is no wallet's name")
    if "MESSAGE" in found:
        found["MESSAGE"] = _UNSAFE.sub("", found["MESSAGE"])
    return found


def line(hook: Hook, command: str, known: Mapping[str, str]) -> str:
    """The command line: ``%`` and a letter of the hook's stands for its value, anything else is as it was."""

    def stands_for(found: "re.Match[str]") -> str:
        name = hook.letters[found[1]]
        if name == "UNIT" and not _PLAIN_UNIT.match(known[name]):
            return f'"${_PREFIX}{name}"'
        if name == "WALLET":
            return f"'{known[name]}'" if _PLAIN_NAME.match(known[name]) else f'"${_PREFIX}{name}"'
        return f"'{known[name]}'" if name == "MESSAGE" else known[name]

    return re.sub(f"%([{''.join(hook.letters)}])", stands_for, command)


def variables(known: Mapping[str, str]) -> dict[str, str]:
    """The same values as environment variables."""
    return {_PREFIX + name: value for name, value in known.items()}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
