"""What a caller of a unit that is down is told, whatever it asked."""

import json

import pytest

from bitcoind_mp.supervisor.doorman import refusal, why_not
from bitcoind_mp.supervisor.units.policy import Policy
from bitcoind_mp.supervisor.units.states import State
from bitcoind_mp.supervisor.units.unit import Unit


@pytest.mark.parametrize(
    ("request_line", "identity"),
    [
        (b'{"jsonrpc":"2.0","method":"getblockcount","id":7}', 7),
        (b'{"jsonrpc":"2.0","method":"getblockcount","id":"x"}', "x"),
        (b'[{"id":1}]', None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"not json", None),
        (b"[" * 100_000, None),
        (b"1", None),
    ],
)
def test_every_request_gets_an_error(request_line: bytes, identity: object) -> None:
    line = refusal(request_line, "The node is stopped.")
    assert line.endswith(b"\n")
    assert json.loads(line) == {
        "jsonrpc": "2.0",
        "error": {"code": -9, "message": "The node is stopped."},
        "id": identity,
    }


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (State.STOPPED, "The node is stopped. Start it with: bitcoin-mp -regtest start node"),
        (
            State.FAILED,
            "The node has failed: no such address. See: bitcoin-mp -regtest logs node. "
            "Then: bitcoin-mp -regtest start node",
        ),
        (
            State.HELD,
            "The node is held, and starts by itself once what is in its way is gone: no such address. "
            "See: bitcoin-mp -regtest status node",
        ),
    ],
)
def test_what_to_do_is_said_with_the_options_that_lead_here(state: State, said: str) -> None:
    unit = Unit(Policy(), state, reason="no such address.")
    assert why_not("node", unit, "bitcoin-mp -regtest") == said
