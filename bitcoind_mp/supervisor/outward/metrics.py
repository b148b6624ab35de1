"""What Prometheus is told: one scrape's metrics, from what the supervisor knows. Names by Prometheus' conventions.

Rendering is prometheus_client's, which is imported with this file and only where -metrics asks for it; serving is
``scrape.py``'s. No balance, address, txid or passphrase is among them; wallets' names are.
"""

import asyncio
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bitcoind_mp.supervisor.checks.health import HealthMonitor
from bitcoind_mp.supervisor.checks.vitals import Checkup, Resources, measure, usage
from bitcoind_mp.supervisor.manager import Manager
from bitcoind_mp.supervisor.supervised import Supervised
from bitcoind_mp.supervisor.units.states import SERVING, State

from .outward import Outward

_PREFIX = "bitcoind_mp_"
#: Wallets that are told of, and characters of each one's name.
_MOST_WALLETS, _LONGEST_NAME = 2000, 200
#: Of a worker's own counters: name there -> (name here, what it is).
_NODE = {
    "height": ("node_height", "Height of the best block."),
    "headers": ("node_headers", "Height of the best header."),
    "peers": ("node_peers", "Peers connected."),
    "mempool": ("node_mempool_transactions", "Transactions in the mempool."),
    "mempool_bytes": ("node_mempool_bytes", "Virtual size of all transactions in the mempool."),
}
_SIGNER = {
    "keysets": ("signer_key_sets", "Key sets that the signer holds."),
    "requests": ("signer_waiting_requests", "Signatures that wait for confirmsigning."),
}
#: Gauges of each unit's process: (name, what it is).
_PROCESS = (
    ("resident_memory_bytes", "Resident memory."),
    ("open_fds", "Open file descriptors."),
    ("threads", "Threads."),
)


@dataclass(frozen=True)
class About:
    """The supervisor itself; ``since`` is when it came up (monotonic), ``disk`` where the data lie."""

    version: str
    chain: str
    since: float
    disk: Path


class Metrics(Collector):
    """Everything, as of now."""

    def __init__(self, about: About, manager: Manager, health: HealthMonitor, outward: Outward) -> None:
        self._about = about
        self._manager = manager
        self._health = health
        self._outward = outward
        self._now = asyncio.get_running_loop().time

    def text(self) -> bytes:
        """In Prometheus' text format 0.0.4."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        units = list(self._manager.units.values())
        checkups = [(each, self._health.checkup(each)) for each in units]
        used = [(each.name, usage(each.unit.pid, checkup)) for each, checkup in checkups]
        yield from self._supervisor()
        yield from self._states(units)
        yield from self._processes([*used, ("supervisor", measure(os.getpid()))])
        yield from self._checks(checkups)
        yield from _counters(_NODE, "node", checkups)
        yield from _counters(_SIGNER, "signer", checkups)
        yield from _verification(checkups)
        yield from _wallets(checkups)
        yield from self._events()

    def _supervisor(self) -> Iterator[Metric]:
        info = {"version": self._about.version, "chain": self._about.chain}
        yield InfoMetricFamily("bitcoind_mp", "The supervisor.", info)
        started = time.time() - (self._now() - self._about.since)
        yield _gauge("start_time_seconds", "When the supervisor came up, in seconds since 1970.", started)
        try:
            disk = os.statvfs(self._about.disk)
        except OSError:
            return
        yield _gauge("disk_free_bytes", "Free space where the data lie.", disk.f_bavail * disk.f_frsize)
        yield _gauge("disk_wanted_bytes", "Free space that -mindiskfree asks for.", self._health.plan.min_disk_free)

    def _states(self, units: list[Supervised]) -> Iterator[Metric]:
        state = GaugeMetricFamily(_PREFIX + "unit_state", "1 for the state that it is in.", labels=("unit", "state"))
        for each in units:
            for known in State:
                state.add_metric((each.name, str(known)), float(each.unit.state is known))
        yield state
        up = ((each.name, float(each.unit.state in SERVING)) for each in units)
        yield _by_unit("unit_up", "Whether a unit serves.", up)
        restarts = CounterMetricFamily(_PREFIX + "unit_restarts", "Starts that nobody asked for.", labels=("unit",))
        for each in units:
            restarts.add_metric((each.name,), each.unit.restarts)
        yield restarts
        last = InfoMetricFamily(_PREFIX + "unit_last_exit", "How a unit's last process ended.", labels=("unit",))
        for each in units:
            if (ended := each.unit.ended) is not None:
                code, number = ended.exit.code, ended.exit.signal
                how = {"code": "" if code is None else str(code), "signal": "" if number is None else str(int(number))}
                last.add_metric((each.name,), {**how, "cause": ended.cause})
        yield last
        times = ((each.name, each.unit.watchdog) for each in units if each.unit.pid is not None)
        yield _by_unit("unit_watchdog_timeout_seconds", "Within which it must give a sign of life.", times)
        now = self._now()
        left = ((each.name, each.unit.watchdog_at - now) for each in units if each.unit.watchdog_at is not None)
        yield _by_unit("unit_watchdog_left_seconds", "What is left of that.", left)

    def _processes(self, used: Iterable[tuple[str, Resources | None]]) -> Iterator[Metric]:
        gauges = [GaugeMetricFamily(f"{_PREFIX}unit_{name}", about, labels=("unit",)) for name, about in _PROCESS]
        cpu = CounterMetricFamily(_PREFIX + "unit_cpu_seconds", "Processor time of a unit's process.", labels=("unit",))
        for name, found in used:
            if found is None:
                continue
            for gauge, value in zip(gauges, (found.memory, found.files, found.threads), strict=True):
                if value is not None:
                    gauge.add_metric((name,), _bounded(value))
            cpu.add_metric((name,), found.cpu)
        yield from gauges
        yield cpu

    def _checks(self, checkups: list[tuple[Supervised, Checkup]]) -> Iterator[Metric]:
        grades = ((each.name, float(self._health.diagnosis(each).grade)) for each, _ in checkups)
        yield _by_unit("unit_health", "0: ok, 1: degraded, 2: failed.", grades)
        took = ((each.name, found.took) for each, found in checkups if found.took is not None)
        yield _by_unit("unit_health_check_seconds", "How long the newest health check took.", took)
        failures = ((each.name, found.failures) for each, found in checkups)
        yield _by_unit("unit_health_check_failures", "Health checks in a row that were not answered.", failures)

    def _events(self) -> Iterator[Metric]:
        events = CounterMetricFamily(_PREFIX + "events", "Events told, by kind.", labels=("kind",))
        for kind, count in sorted(self._outward.board.counts.items()):
            events.add_metric((kind,), count)
        yield events
        runs = CounterMetricFamily(_PREFIX + "commands", "Commands on events.", labels=("option", "outcome"))
        for lane in self._outward.lanes:
            for outcome, count in (("run", lane.run_count), ("failed", lane.failures), ("not_run", lane.dropped)):
                runs.add_metric((lane.option, outcome), count)
        yield runs
        waiting = ((lane.option, lane.waiting) for lane in self._outward.lanes)
        yield _by("option", "commands_waiting", "Commands that wait for their turn.", waiting)
        yield _gauge("alerts", "Alerts that hold now.", len(self._outward.alarms.present))


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, about, value=value)


def _by_unit(name: str, about: str, values: Iterable[tuple[str, float]]) -> Metric:
    return _by("unit", name, about, values)


def _by(label: str, name: str, about: str, values: Iterable[tuple[str, float]]) -> Metric:
    made = GaugeMetricFamily(_PREFIX + name, about, labels=(label,))
    for which, value in values:
        made.add_metric((which,), value)
    return made


def _counters(
    known: dict[str, tuple[str, str]], unit: str, checkups: list[tuple[Supervised, Checkup]]
) -> Iterator[Metric]:
    """Those of its own counters that a unit told at its newest check."""
    for each, found in checkups:
        if each.name == unit and found.answer is not None:
            for key, (name, about) in known.items():
                if key in found.answer.counters:
                    yield _gauge(name, about, _bounded(found.answer.counters[key]))


def _verification(checkups: list[tuple[Supervised, Checkup]]) -> Iterator[Metric]:
    for each, found in checkups:
        if each.name == "node" and found.answer is not None and "verified_millionths" in found.answer.counters:
            share = _bounded(found.answer.counters["verified_millionths"]) / 1_000_000
            yield _gauge("node_verification_progress_ratio", "Of all transactions, as estimated, 0 to 1.", share)


def _wallets(checkups: list[tuple[Supervised, Checkup]]) -> Iterator[Metric]:
    height = GaugeMetricFamily(_PREFIX + "wallet_height", "Height that a wallet has followed to.", labels=("wallet",))
    lag = GaugeMetricFamily(_PREFIX + "wallet_lag_blocks", "How far it is behind.", labels=("wallet",))
    told = [item for _, found in checkups if found.answer is not None for item in found.answer.parts.items()]
    for name, figures in told[:_MOST_WALLETS]:
        label = name[:_LONGEST_NAME].encode(errors="replace").decode()
        height.add_metric((label,), _bounded(figures.get("height", 0)))
        lag.add_metric((label,), _bounded(figures.get("lag", 0)))
    yield height
    yield lag


def _bounded(number: int) -> float:
    """A worker may say anything; a number too large for a float must not spoil the rest."""
    return float(max(-(2**63), min(number, 2**63)))
