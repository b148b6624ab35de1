"""What a caller of a unit that is down is told, whatever it asked."""

import json

import pytest

from bitcoind_mp.supervisor.doorman import refusal


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
