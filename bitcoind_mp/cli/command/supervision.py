"""The supervisor's own commands as one-shot commands: how they are called, printed, and their exit statuses."""

import sys
import time

from bitcoind_mp.cli.arguments import BadArgument
from bitcoind_mp.cli.format import coloured, harmless, health_text, logs_text, plain, printable, status_text, unit_line
from bitcoind_mp.cli.jsontext import quote, write
from bitcoind_mp.cli.terminal import wants_colour
from bitcoind_mp.config.instances import PREFIX
from bitcoind_mp.config.option import UNITS, WHICH_UNITS

from .calling import call
from .exchange import INVALID_PARAMETER, NoServer, Refused
from .following import follow, show_each
from .printed import error_text, print_result, print_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bitcoind_mp.cli.format import Paint
    from bitcoind_mp.config import Config

#: ``systemctl status`` of a unit that isn't active, and of one that there isn't.
NOT_ACTIVE = 3
NO_SUCH_UNIT = 4
#: Of ``status``: answer when there is nothing more to wait for.
WAIT = "--wait"
#: ``reload --exec``, as `bitcoind-mp` has it: these, one after the other.
EXEC = ["--exec"]
UPGRADE = ("upgrade", "upgraded")
#: Lines of ``logs`` where -n doesn't say.
LINES = "50"


def perform_for_person(config: "Config", name: str, words: "list[str]") -> int:
    """Call one of `oneshot.FOR_PERSONS` and print what it answers, as JSON with -json. Of several units each has its
    turn, whatever became of the one before.

    The exit status: of ``health`` 0, 1 or 2; of ``status`` 3 where nothing runs or all is stopping, of ``status UNIT``
    also where it isn't active, and 4 where there is no such unit; of ``status --wait`` 3 where one isn't ready.
    """
    if name == "status" and WAIT in words:
        return _wait_and_show(config, [word for word in words if word != WAIT])
    if name == "reload" and words == EXEC:
        for step in UPGRADE:
            print_result(call(config, step, []))
        return 0
    as_json = config.get_bool("json")
    if config.get_bool("named"):
        calls, follow = [words], False
    else:
        words, asked = without_json(words)
        as_json = as_json or asked
        calls, follow = read_words(name, words)
    if follow:
        return follow_logs(config, calls[0])
    results = []
    refusals = []
    for each in calls:
        try:
            results.append(call(config, name, each))
        except NoServer as error:
            if name == "status":
                print(f"error: {error}", file=sys.stderr)
                return NOT_ACTIVE
            if name != "health":
                raise
            results.append(_nobody_well(str(error)))
        except Refused as refused:
            if name == "status" and refused.code == INVALID_PARAMETER and each and each[0]:
                print(error_text(refused.code, refused.message), file=sys.stderr)
                return NO_SUCH_UNIT
            if len(calls) == 1:
                raise
            print(error_text(refused.code, refused.message), file=sys.stderr)
            refusals.append(refused.code)
            continue
        if name not in JOINED:
            show(config, name, results[-1], as_json=as_json)
    if results and name in JOINED:
        results = [joined(results)]
        show(config, name, results[0], as_json=as_json)
    if refusals:
        return abs(refusals[0]) & 0xFF
    return exit_status(name, results[0], of_units=any(each and each[0] for each in calls))


def _nobody_well(error: str) -> "dict[str, Any]":
    """``health`` where nobody answers it."""
    return {"state": "failed", "exit": 2, "problems": [error.partition("\n")[0]], "units": []}


def _wait_and_show(config: "Config", words: "list[str]") -> int:
    """``status --wait``: 0 once every unit is ready, 3 where one has failed or stopped."""
    from .waiting import wait_for_units

    units = [each[0] for each in read_words("status", without_json(words)[0])[0] if each and each[0]]
    unknown = [unit for unit in units if unit not in UNITS and not unit.startswith(PREFIX)]
    if unknown:
        raise BadArgument(f"status: unknown unit {unknown[0]!r}: expected {WHICH_UNITS}")
    ready = wait_for_units(config, units)
    perform_for_person(config, "status", words)
    return 0 if ready else NOT_ACTIVE


def show(config: "Config", name: str, result: "Any", *, as_json: bool) -> None:
    """Print one answer."""
    if as_json or isinstance(result, str):
        print_result(result)
    else:
        print_text(text_of(name, result, coloured if wants_colour(config) else plain))


def without_json(words: "list[str]") -> "tuple[list[str], bool]":
    """The words without -json, and whether it was among them: it may stand after the command too, as systemctl's
    options may."""
    left = [word for word in words if word not in ("-json", "--json")]
    return left, len(left) < len(words)


def read_words(name: str, words: "list[str]") -> "tuple[list[list[str]], bool]":
    """The words of each call that a line makes, one a unit, and whether to follow. ``-f`` and ``-n LINES`` of
    ``logs`` and ``status`` may stand anywhere. Raises `BadArgument`."""
    units: list[str] = []
    lines = None
    follow = False
    switches = {"logs": ("-f", "-n"), "status": ("-n",)}.get(name, ())
    rest = iter(words)
    for word in rest:
        if word in ("-f", "--follow") and "-f" in switches:
            follow = True
        elif word in ("-n", "--lines") and switches:
            lines = next(rest, "")
            if not lines:
                raise BadArgument(f"{word} needs a number of lines")
        elif word.startswith(("-n", "--lines=")) and switches:
            lines = word.removeprefix("--lines=").removeprefix("-n")
        elif word.startswith("-"):
            expected = " or ".join(switch + " LINES" * (switch == "-n") for switch in switches)
            raise BadArgument(f"{name}: unknown option {word}" + (f": expected {expected}" if expected else ""))
        elif units and lines is None and switches and word.isdigit():
            lines = word  # by position, as the command has it
        elif word:
            units.append(word)
    if lines is not None and not (lines.isascii() and lines.isdigit()):
        raise BadArgument(f"-n {lines}: expected a number of lines")
    lines = lines and (lines.lstrip("0") or "0")  # as JSON has it
    check_units(name, units, follow=follow)
    if lines is not None:
        return [[unit, lines] for unit in units or [""]], follow
    return [[unit] for unit in units] or [[]], follow


def check_units(name: str, units: "list[str]", *, follow: bool) -> None:
    """Raises `BadArgument` where a command has too many words or too few."""
    if units and name == "health":
        raise BadArgument(f"health: unexpected {units[0]!r}: it is about all units")
    if not units and name in ("start", "restart", "reload"):
        raise BadArgument(f"{name}: which unit? Expected {WHICH_UNITS}, or several")
    if follow and len(units) > 1:
        raise BadArgument(f"logs -f: unexpected {units[1]!r}: expected one unit, or none for all")


#: Commands whose answers about several units are shown as one.
JOINED = {"status": "units", "logs": "logs"}


def joined(results: "list[dict[str, Any]]") -> "dict[str, Any]":
    """One answer of several units' answers to ``status`` or ``logs``: about these units alone."""
    if len(results) == 1:
        return results[0]
    key = "units" if "units" in results[0] else "logs"
    return {key: [entry for result in results for entry in result[key]]}


#: What comes of an answer that isn't what we know: another version's, or of a server that was broken into.
_STRANGE = (LookupError, TypeError, ValueError, AttributeError)


def text_of(name: str, result: "Any", paint: "Paint") -> str:
    """A result laid out for a person; one that can't be, as JSON."""
    result = harmless(result)
    try:
        if name == "status":
            return status_text(result, time.time(), paint)
        if name == "health":
            return health_text(result, paint)
        if name == "logs":
            return logs_text(result, paint)
        return unit_line(result, paint)
    except _STRANGE:
        return write(result)


def exit_status(name: str, result: "Any", *, of_units: bool) -> int:
    """What the result says to a script; ``of_units``: it was asked about units by name."""
    try:
        if name == "health":
            return int(result["exit"])
        if name == "status" and result.get("supervisor", {}).get("stopping"):
            return NOT_ACTIVE
        if name == "status" and of_units:
            return 0 if all(unit["active"] in ("active", "reloading") for unit in result["units"]) else NOT_ACTIVE
    except _STRANGE:
        return 1
    return 0


def follow_logs(config: "Config", words: "list[str]") -> int:
    """Print log lines as they are written, until interrupted or the supervisor ends."""
    unit = words[0] if words else ""
    lines = words[1] if len(words) > 1 else LINES

    def show(params: "Any") -> None:
        name, told = (params["unit"], params["lines"]) if isinstance(params, dict) else params
        prefix = "" if unit else f"{name}: "
        print_result("\n".join(prefix + printable(line) for line in told))

    return show_each(follow(config, "logs.follow", f"[{quote(unit)},{lines},1]", "log.lines"), show)
