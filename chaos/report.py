"""The table that a run ends with, and a line for each fault while it runs. For people; nothing here decides."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .record import Outcome, Record


@dataclass(frozen=True)
class Injected:
    """One fault that was done: ``recovered`` in seconds from its end until everything served again; None: it was not
    possible (``why_not``)."""

    kind: str
    target: str
    recovered: float | None
    why_not: str = ""


def faults_table(injected: Sequence[Injected]) -> list[str]:
    """A line for each kind and target, in seconds."""
    groups: defaultdict[tuple[str, str], list[Injected]] = defaultdict(list)
    for each in injected:
        groups[each.kind, each.target].append(each)
    lines = [f"{'fault':30} {'target':22} {'injected':>8} {'recovered':>9} {'median':>8} {'slowest':>8}"]
    for (kind, target), group in sorted(groups.items()):
        times = [each.recovered for each in group if each.recovered is not None]
        row = f"{kind:30} {target:22} {len(times):8} {len(times):9}"
        if times:
            row += f" {statistics.median(times):6.2f} s {max(times):6.2f} s"
        if why_not := next((each.why_not for each in group if each.why_not), ""):
            row += f"  not possible {len(group) - len(times)} times: {why_not}"
        lines.append(row.rstrip())
    return lines


def totals(injected: Sequence[Injected], record: Record, seconds: float) -> list[str]:
    done = [each for each in injected if each.recovered is not None]
    slowest = max(done, key=lambda each: each.recovered or 0.0, default=None)
    lines = [f"{len(done)} faults in {seconds:.0f} s, {len(done)} recoveries"]
    if slowest is not None:
        lines[0] += f"; the slowest took {slowest.recovered:.2f} s ({slowest.kind}: {slowest.target})"
    paid = ", ".join(f"{record.count(outcome)} {outcome}" for outcome in Outcome)
    lines.append(f"{len(record.payments)} payments: {paid}; {len(record.blocks)} blocks mined")
    return lines


def calls_table(record: Record) -> list[str]:
    """Calls that failed and how, beside how many there were."""
    lines = [f"{'front end':12} {'calls':>7} {'failed':>7}"]
    for front_end, count in sorted(record.calls.items()):
        failed = {failure.how: times for failure, times in record.failures.items() if failure.front_end == front_end}
        lines.append(f"{front_end:12} {count:7} {sum(failed.values()):7}")
        lines += [
            f"{'':12} {'':7} {times:7}  {how}" for how, times in sorted(failed.items(), key=lambda pair: -pair[1])
        ]
    return lines


def checks_table(checks: Mapping[str, Sequence[str]], most: int = 10) -> list[str]:
    lines = []
    for name, every in checks.items():
        complaints = [text if times == 1 else f"{text} ({times} times)" for text, times in Counter(every).items()]
        lines.append(f"  {'ok' if not complaints else 'NO':4} {name}")
        lines += [f"         {complaint}" for complaint in complaints[:most]]
        if len(complaints) > most:
            lines.append(f"         … and {len(complaints) - most} more")
    return lines
