"""Metrics of real children, over a Unix socket and the loopback interface, read as Prometheus reads them."""

import http.client
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Daemon, free_port, wait_until
from prometheus_client.parser import text_string_to_metric_families


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


class Metrics:
    """One scrape."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        assert response.status == 200
        assert response.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
        self.text = response.read().decode()
        connection.close()
        self.families = {family.name: family for family in text_string_to_metric_families(self.text)}
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        """A sample's value, None where there is none."""
        return self._samples.get((f"bitcoind_mp_{name}", frozenset(labels.items())))


def test_units_over_a_unix_socket_through_a_crash(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start("-metrics=unix:run/metrics.sock", "-mindiskfree=7", "-restartdelay=0", "-unitnotify=true")
    path = str(supervisor.run_dir / "metrics.sock")
    os.kill(supervisor.pid("node"), signal.SIGKILL)
    until(lambda: supervisor.unit("node")["restarts"] == 1)
    supervisor.wait_state("node", "running")
    supervisor.ask("stop", "wallet")
    supervisor.ask("health")
    found = Metrics(UnixConnection(path))
    assert found("unit_state", unit="node", state="running") == 1
    assert found("unit_state", unit="node", state="failed") == 0
    assert found("unit_state", unit="wallet", state="stopped") == 1
    assert (found("unit_up", unit="node"), found("unit_up", unit="wallet")) == (1, 0)
    assert found("unit_restarts_total", unit="node") == 1
    assert found("unit_last_exit_info", unit="node", code="", signal="9", cause="killed") == 1
    assert found("unit_last_exit_info", unit="wallet", code="0", signal="", cause="") == 1
    memory = found("unit_resident_memory_bytes", unit="node")
    assert memory is not None and memory > 1 << 20
    assert found("unit_resident_memory_bytes", unit="wallet") is None, "there is no process"
    for name in ("unit_cpu_seconds_total", "unit_open_fds", "unit_threads"):
        for unit in ("node", "supervisor"):
            assert (found(name, unit=unit) or 0) >= 0
    assert (found("unit_health_check_seconds", unit="node") or 0) > 0
    assert found("unit_health", unit="node") == 0
    assert found("disk_wanted_bytes") == 7 << 20
    assert (found("disk_free_bytes") or 0) > 0
    assert (found("events_total", kind="unit") or 0) >= 6
    assert (found("commands_total", option="unitnotify", outcome="run") or 0) >= 6
    assert found("alerts") == 0
    assert found.families["bitcoind_mp_unit_restarts"].type == "counter"
    assert supervisor.stop() == 0
    assert not Path(path).exists()


def test_it_goes_on_through_an_upgrade(supervisor: Any) -> None:
    supervisor.start("-metrics=unix:run/metrics.sock")
    before = Metrics(UnixConnection(str(supervisor.run_dir / "metrics.sock")))
    supervisor.ask("upgrade")
    supervisor.ask("upgraded")
    after = Metrics(UnixConnection(str(supervisor.run_dir / "metrics.sock")))
    assert abs((after("start_time_seconds") or 0) - (before("start_time_seconds") or 0)) < 1
    assert after("unit_up", unit="node") == 1


def test_a_place_that_is_taken_is_said(supervisor: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = supervisor.once(f"-metrics=127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 69
    assert "could not listen there: Address already in use" in done.stderr
    done = supervisor.once("-metrics=0.0.0.0:9332")
    assert done.returncode == 78
    assert "-metrics=0.0.0.0:9332: expected a loopback address" in done.stderr


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "data", f"-metrics=127.0.0.1:{free_port()}", "-healthinterval=0.2")
    yield made
    made.clean_up()


def test_chain_mempool_and_wallets_over_loopback(daemon: Daemon) -> None:
    daemon.start()
    port = int(next(option for option in daemon.options if option.startswith("-metrics")).rpartition(":")[2])

    def scrape() -> Metrics:
        return Metrics(http.client.HTTPConnection("127.0.0.1", port, timeout=30))

    name = 'a "b"\\c'
    daemon.wallet(None, "createwallet", name)
    daemon.node("generatetoaddress", 101, daemon.wallet(name, "getnewaddress"))
    daemon.wallet(name, "getbalance")
    wait_until("the figures are new", lambda: scrape()("node_height") == 101)
    wait_until("the wallet's too", lambda: scrape()("wallet_height", wallet=name) == 101)
    found = scrape()
    assert found("wallet_lag_blocks", wallet=name) == 0
    assert (found("node_headers"), found("node_peers")) == (101, 0)
    assert (found("node_mempool_transactions"), found("node_mempool_bytes")) == (0, 0)
    assert 0.99 <= (found("node_verification_progress_ratio") or 0) <= 1
    assert found("info", version=daemon.supervisor("status")["supervisor"]["version"], chain="regtest") == 1
    assert "balance" not in found.text
    daemon.stop()
