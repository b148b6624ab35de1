"""The table: what was done, what became of it, and which calls failed how."""

from decimal import Decimal

from chaos import report
from chaos.record import Outcome, Payment, Record
from chaos.report import Injected

INJECTED = [
    Injected("kill -9", "node", 0.2),
    Injected("kill -9", "node", 0.6),
    Injected("disk full", "everything", None, "only root may mount"),
]


def test_faults_by_kind_and_target() -> None:
    _, disk, kill = report.faults_table(INJECTED)
    assert " ".join(disk.split()) == "disk full everything 0 0 not possible 1 times: only root may mount"
    assert kill.split() == ["kill", "-9", "node", "2", "2", "0.40", "s", "0.60", "s"]


def test_totals() -> None:
    record = Record()
    record.paid(Payment("address", "label", "a", "b", Decimal(1), Outcome.UNKNOWN))
    record.mined(["h"])
    assert report.totals(INJECTED, record, 60) == [
        "2 faults in 60 s, 2 recoveries; the slowest took 0.60 s (kill -9: node)",
        "1 payments: 0 acknowledged, 0 refused, 1 unknown; 1 blocks mined",
    ]


def test_calls_that_failed() -> None:
    record = Record()
    for _ in range(3):
        record.called("shell")
    record.failed("shell", "refused: -28 Loading")
    record.failed("shell", "refused: -28 Loading")
    assert [line.split() for line in report.calls_table(record)[1:]] == [
        ["shell", "3", "2"],
        ["2", "refused:", "-28", "Loading"],
    ]


def test_a_check_that_did_not_hold_shows_what_and_how_often() -> None:
    lines = report.checks_table({"right": [], "wrong": ["this", "this", "that"]}, most=1)
    assert [line.strip() for line in lines] == ["ok   right", "NO   wrong", "this (2 times)", "… and 1 more"]
