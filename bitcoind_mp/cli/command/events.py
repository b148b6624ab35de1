"""``events``: what happens, a line each as it does, until interrupted. What is in a notice: `interfaces.notices`."""

import time

from bitcoind_mp.cli.arguments import BadArgument
from bitcoind_mp.cli.format import printable
from bitcoind_mp.cli.jsontext import compact, quote
from bitcoind_mp.interfaces.notices import ALERT, DROPPED, KINDS, MISSED, TIP, TRANSACTION, UNIT

from .following import follow, show_each
from .printed import print_result
from .supervision import without_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bitcoind_mp.config import Config

#: Width of the column that says what kind of event it is.
_KIND = 12


def follow_events(config: "Config", words: "list[str]") -> int:
    """Print events of these kinds, of all where none is named, as JSON lines with -json. Ends with the supervisor."""
    words, as_json = without_json(words)
    kinds = read_kinds(words)
    as_json = as_json or config.get_bool("json")

    def show(params: "Any") -> None:
        notice = params["notice" if isinstance(params, dict) else 0]
        print_result(compact(notice) if as_json else event_text(notice))

    return show_each(follow(config, "notices.follow", f"[[{','.join(map(quote, kinds))}],1]", "event"), show)


def read_kinds(words: "list[str]") -> "list[str]":
    """The kinds that are asked for. Raises `BadArgument`."""
    for word in words:
        if word not in KINDS:
            raise BadArgument(f"events: unexpected {word!r}: expected {' or '.join(KINDS)}, several, or none for all")
    return words


def event_text(notice: "dict[str, Any]") -> str:
    """One event for a person."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(float(notice["time"])))
    kind = str(notice["kind"])
    said = _SAY[kind](notice) if kind in _SAY else compact(notice)
    return printable(f"{when} {kind:<{_KIND}}{said}")


def _unit(notice: "dict[str, Any]") -> str:
    pid = f" (pid {notice['pid']})" if notice["pid"] is not None else ""
    reason = f": {notice['reason']}" if notice["reason"] else ""
    return f"{notice['unit']} {notice['state']}{pid}, was {notice['before']}{reason}"


def _tip(notice: "dict[str, Any]") -> str:
    return f"{notice['height']} {notice['hash']}"


def _transaction(notice: "dict[str, Any]") -> str:
    where = f"in block {notice['height']}" if notice["block"] is not None else "unconfirmed"
    return f"{notice['wallet']!r} {notice['txid']} {where}"


def _alert(notice: "dict[str, Any]") -> str:
    return ("" if notice["raised"] else "over: ") + str(notice["text"])


def _dropped(notice: "dict[str, Any]") -> str:
    return f"{notice['count']} events are missing here: they came faster than they were read"


def _missed(notice: "dict[str, Any]") -> str:
    return f"{notice['count']} blocks came before the {notice['source']} could tell of each"


_SAY = {UNIT: _unit, TIP: _tip, TRANSACTION: _transaction, ALERT: _alert, DROPPED: _dropped, MISSED: _missed}
