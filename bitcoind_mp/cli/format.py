"""Words on a terminal: what the supervisor's own commands answer, laid out as systemctl does. Pure functions.

What is laid out must be `harmless` already. Numbers may come as text with their digits (`jsontext.Number`) or as
numbers; times are seconds since 1970 and ``now`` is one too. ``paint`` is `plain` or `coloured`.
"""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Paint = Callable[[str, str], str]

#: A unit's state in systemctl's words -> its dot and the dot's colour.
_DOTS = {
    "active": ("\u25cf", "green"),
    "reloading": ("\u21bb", "green"),
    "inactive": ("\u25cb", "dim"),
    "deactivating": ("\u25cf", "yellow"),
    "activating": ("\u25cf", "yellow"),
    "failed": ("\u00d7", "red"),
}
_GRADES = {"ok": "green", "degraded": "yellow", "failed": "red"}
_ABOUT = {"node": "chain, mempool and peers", "wallet": "keys and coins", "signer": "private keys"}
_CODES = {"green": "32", "yellow": "33", "red": "31", "blue": "34", "dim": "2", "bold": "1"}
#: Width of the labels' column, as systemctl's.
_LABEL = 12


def plain(colour: str, text: str) -> str:
    """No colour."""
    return text


def coloured(colour: str, text: str) -> str:
    """With ANSI escapes."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if text else ""


def status_text(status: "dict[str, Any]", now: float, paint: "Paint" = plain) -> str:
    """All that ``status`` answers."""
    blocks = []
    about = status.get("supervisor")
    if about and len(status["units"]) != 1:
        blocks.append(supervisor_text(about, now, paint))
    blocks += [unit_text(unit, now, paint) for unit in status["units"]]
    return "\n\n".join(blocks)


def supervisor_text(about: "dict[str, Any]", now: float, paint: "Paint" = plain) -> str:
    """The supervisor itself."""
    problems = about.get("problems") or []
    dot, colour = _DOTS["active"]
    lines = [f"{paint('yellow' if problems else colour, dot)} {paint('bold', 'bitcoind-mp')} - supervisor"]
    active = paint("yellow", "deactivating (stopping)") if about.get("stopping") else paint("green", "active (running)")
    lines.append(_row("Active", active + _since(about.get("since"), now)))
    lines.append(_row("Main PID", str(about.get("pid", "unknown"))))
    chain = [str(about[key]) for key in ("chain", "datadir") if about.get(key)]
    if chain:
        lines.append(_row("Chain", ", ".join(chain)))
    lines += _resources(about, {})
    lines += _problems(problems, paint)
    return "\n".join(lines)


def unit_text(unit: "dict[str, Any]", now: float, paint: "Paint" = plain) -> str:
    """One unit, with its newest log lines."""
    dot, colour = _DOTS.get(unit["active"], _DOTS["inactive"])
    about = _ABOUT.get(unit["name"])
    lines = [f"{paint(colour, dot)} {paint('bold', unit['name'])}" + (f" - {about}" if about else "")]
    lines.append(_row("Active", _active(unit, now, paint)))
    if unit.get("status"):
        lines.append(_row("Status", f'"{unit["status"]}"'))
    if unit.get("pid") is not None or unit.get("health") not in ("ok", None):
        lines.append(_row("Health", _health(unit, now, paint)))
    lines += _problems(unit.get("problems") or [], paint)
    if unit.get("cause"):
        lines.append(_row("Cause", paint("red", str(unit["cause"]))))
        lines.append(_row("What to do", str(unit["advice"])))
    if unit.get("pid") is not None:
        adopted = " (adopted from an earlier supervisor: how it ends will not be known)" if unit.get("adopted") else ""
        lines.append(_row("Main PID", f"{unit['pid']}{adopted}"))
    if unit.get("preloaded") is not None:
        lines.append(_row("Preloaded", f"{unit['preloaded']} (what the next is forked from)"))
    lines.append(_row("Restarts", _restarts(unit, now)))
    lines += _resources(unit, unit.get("limits") or {})
    if unit.get("pid") is not None:
        lines += _sandbox(unit.get("sandbox") or {}, paint)
    if unit.get("log_file"):
        lines.append(_row("Log", str(unit["log_file"])))
    if unit.get("log_error"):
        lines.append(_row("", paint("yellow", f"{unit['log_lost']} lines lost: {unit['log_error']}")))
    lines += _last_words(unit, paint)
    if unit.get("log"):
        lines += ["", *unit["log"]]
    return "\n".join(lines)


def _sandbox(sandbox: "dict[str, Any]", paint: "Paint") -> "list[str]":
    return [_row("" if index else "Sandbox", line) for index, line in enumerate(_protections(sandbox, paint))]


def _protections(sandbox: "dict[str, Any]", paint: "Paint") -> "list[str]":
    """The protections in one line, the missing ones in one each."""
    active, missing = sandbox.get("protections") or [], sandbox.get("missing") or []
    lines = [", ".join(active)] if active else []
    return lines + [paint("yellow", f"missing: {text}") for text in missing]


def health_text(health: "dict[str, Any]", paint: "Paint" = plain) -> str:
    """One line for a monitor: the verdict, then what is wrong, else each unit's state. Below it, as monitors show it
    with the rest of a plugin's output, each unit's protections."""
    word = str(health["state"])
    rest = "; ".join(map(one_line, health["problems"])) or ", ".join(
        f"{unit['name']} {unit['state']}" for unit in health["units"]
    )
    protected = [
        f"{unit['name']}: {one_line(line)}"
        for unit in health["units"]
        for line in _protections(unit.get("sandbox") or {}, paint)
    ]
    return "\n".join([f"{paint(_GRADES.get(word, 'red'), word.upper())}: {rest}", *protected])


def unit_line(unit: "dict[str, Any]", paint: "Paint" = plain) -> str:
    """What became of a unit that was started, stopped, restarted or reloaded."""
    colour = {"running": "green", "failed": "red"}.get(unit["state"], "dim")
    pid = f" (pid {unit['pid']})" if unit.get("pid") is not None else ""
    return f"{unit['name']}: {paint(colour, unit['state'])}{pid}"


def logs_text(logs: "dict[str, Any]", paint: "Paint" = plain) -> str:
    """Each unit's lines; with more than one unit under headings, as tail does."""
    entries = logs["logs"]
    if len(entries) == 1:
        return "\n".join(entries[0]["lines"])
    return "\n\n".join("\n".join([paint("bold", f"==> {entry['unit']} <=="), *entry["lines"]]) for entry in entries)


def wrapped(text: str, width: int) -> str:
    """Text of ``help`` in lines of at most ``width``, broken between words; what goes on is indented as far as the
    column that the line's text began at. Examples stay as they are: they are to be copied."""
    return "\n".join(
        part
        for line in text.split("\n")
        for part in (_hanging(line, width) if len(line) > width and not line.startswith("> ") else [line])
    )


def _hanging(line: str, width: int) -> "list[str]":
    indent = len(line) - len(line.lstrip())
    column = line.rfind("  ", indent, width // 2) + 2
    hang = " " * (column if column > indent + 2 else min(indent + 2, width // 2))
    lines = [line[:indent]]
    for word in line[indent:].split(" "):
        started = len(lines) > 1 or lines[-1].strip()
        if started and len(lines[-1]) + 1 + len(word) > width:
            lines.append(hang + word)
        else:
            lines[-1] += (" " if started else "") + word
    return lines


def printable(line: str) -> str:
    """A log line that can't play with the terminal: a peer may have chosen some of its words."""
    if line.isprintable():
        return line
    return "".join(character if character.isprintable() or character == "\t" else "\ufffd" for character in line)


def harmless(answer: "Any") -> "Any":
    """The same answer with every text in it `printable`: what a worker says of itself, and what its log had last, may
    be a stranger's words too."""
    if isinstance(answer, dict):
        return {name: harmless(value) for name, value in answer.items()}
    if isinstance(answer, list):
        return [harmless(value) for value in answer]
    if not isinstance(answer, str) or answer.isprintable():
        return answer  # a number is text too (`jsontext.Number`), and is to stay one
    return printable(answer.replace("\n", " "))


def one_line(text: str) -> str:
    """The same of a sentence that is to be one line, whatever it quotes."""
    return printable(" ".join(text.split()))


def date(seconds: float) -> str:
    """``Mon 2026-11-23 14:43:34 UTC`` in the local zone."""
    return time.strftime("%a %Y-%m-%d %H:%M:%S %Z", time.localtime(seconds))


def age(seconds: float) -> str:
    """A span by its two largest parts, as systemd writes one: ``2min 3s``, ``1 day 4h``."""
    seconds = max(0, int(seconds))
    parts = []
    for word, length in (("day", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(f"{count} {word}{'s' if count > 1 else ''}" if word == "day" else f"{count}{word}")
    return " ".join(parts[:2]) or "0s"


def size(count: float) -> str:
    """Bytes as systemctl writes them: ``912B``, ``45.2M``."""
    for unit in "BKMG":
        if count < 1024 or unit == "G":
            return f"{count:.0f}B" if unit == "B" else f"{count:.1f}{unit}"
        count /= 1024
    raise AssertionError


def processor_time(seconds: float) -> str:
    """``0.512s``, ``2min 3.4s``."""
    if seconds < 60:
        return f"{seconds:.3f}s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes:.0f}min {rest:.1f}s"
    return age(seconds)


def _row(label: str, text: str) -> str:
    return f"{label + ':' if label else '':>{_LABEL}} {text}"


def _since(seconds: "Any", now: float) -> str:
    return f" since {date(float(seconds))}; {age(now - float(seconds))} ago" if seconds is not None else ""


def _active(unit: "dict[str, Any]", now: float, paint: "Paint") -> str:
    colour = _DOTS.get(unit["active"], _DOTS["inactive"])[1]
    both = unit["active"] if unit["active"] == unit["state"] else f"{unit['active']} ({unit['state']})"
    text = paint(colour, both) + _since(unit.get("since"), now)
    if unit.get("next_start") is not None:
        text += f"; next start in {age(float(unit['next_start']) - now)}"
    return text


def _health(unit: "dict[str, Any]", now: float, paint: "Paint") -> str:
    text = paint(_GRADES.get(unit["health"], "dim"), unit["health"])
    check = unit.get("check") or {}
    if check.get("status") and check["status"] != unit.get("status"):
        text += f", {check['status']}"
    if check.get("time") is not None:
        text += f" (checked {age(now - float(check['time']))} ago)"
    return text


def _restarts(unit: "dict[str, Any]", now: float) -> str:
    text = str(unit.get("restarts", 0))
    last = unit.get("last_exit")
    if last:
        said = any(str(last["why"]) in problem for problem in unit.get("problems") or [])
        text += "; last exit" if said else f"; last exit: {one_line(last['why'])}"
        if last.get("time") is not None:
            text += f"{' was' if said else ','} {age(now - float(last['time']))} ago"
    return text


def _resources(of: "dict[str, Any]", limits: "dict[str, Any]") -> "list[str]":
    rows = []
    if of.get("memory") is not None:
        limit = float(limits.get("memory") or 0)
        rows.append(_row("Memory", size(float(of["memory"])) + (f" (limit: {size(limit)})" if limit else "")))
    if of.get("cpu") is not None:
        share = f" ({of['cpu_percent']}% of one processor)" if of.get("cpu_percent") is not None else ""
        rows.append(_row("CPU", processor_time(float(of["cpu"])) + share))
    if of.get("open_files") is not None:
        limit = int(float(limits.get("open_files") or 0))
        rows.append(_row("Files", f"{of['open_files']} open" + (f" (limit: {limit})" if limit else "")))
    if of.get("threads") is not None:
        rows.append(_row("Threads", str(of["threads"])))
    return rows


def _problems(problems: "list[str]", paint: "Paint") -> "list[str]":
    return [_row("" if index else "Problems", paint("yellow", one_line(text))) for index, text in enumerate(problems)]


def _last_words(unit: "dict[str, Any]", paint: "Paint") -> "list[str]":
    words = unit.get("last_words") or []
    if words and words == (unit.get("log") or [])[-len(words) :]:
        return []  # they follow below
    return [_row("" if index else "Last words", paint("red", text)) for index, text in enumerate(words)]
