"""Persons are answered, workers aren't, but for the one that makes wallets where each has a process of its own."""

import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from bitcoind_mp.supervisor.callers import Callers


@pytest.fixture
def connected() -> Iterator[socket.socket]:
    """By this process."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


PERSONS: Any = object()
KEEPER: Any = object()


def unit_of(name: str | None) -> Any:
    return lambda pid: name if pid == os.getpid() else "somebody else's"


@pytest.mark.parametrize(
    ("unit", "keeper", "answers"),
    [
        (None, None, PERSONS),
        (None, KEEPER, PERSONS),
        ("wallet", KEEPER, KEEPER),
        ("wallet", None, "The supervisor answers persons: this is a process of the wallet's"),
        ("wallet@a", KEEPER, "The supervisor answers persons: this is a process of the wallet@a's"),
        ("node", KEEPER, "The supervisor answers persons: this is a process of the node's"),
        ("signer", KEEPER, "The supervisor answers persons: this is a process of the signer's"),
    ],
)
def test_who_answers(connected: socket.socket, unit: str | None, keeper: Any, answers: Any) -> None:
    assert Callers(unit_of(unit), PERSONS, keeper).chosen(connected) == answers


def test_a_worker_that_asks_again_and_again_does_not_fill_the_log(
    connected: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    callers = Callers(unit_of("wallet"), PERSONS, None)
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            callers.chosen(connected)
    assert callers.refused == {"wallet": 100}
    assert (
        caplog.messages
        == [f"refused a call by the wallet (pid {os.getpid()}), which has no business with the supervisor"] * 5
    )
