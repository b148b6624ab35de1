"""What the front ends say is taken for what it means: refused, not taken, or of unknown outcome."""

import pytest

from chaos.frontends import RefusedError, UnknownError, UnreachableError, read_result, what_was_said


def test_an_error_with_its_code() -> None:
    said = what_was_said("error code: -6\nerror message:\nInsufficient funds\n")
    assert isinstance(said, RefusedError)
    assert (said.code, said.message) == (-6, "Insufficient funds")


@pytest.mark.parametrize(
    "text",
    [
        "error: the wallet closed the connection before it answered. Whether the command took effect is unknown.",
        "error: timeout: no answer from /run/wallet.sock within 900 s",
    ],
)
def test_an_unknown_outcome(text: str) -> None:
    assert isinstance(what_was_said(text), UnknownError)


def test_nobody_there() -> None:
    said = what_was_said("error: Could not connect to a server: nobody listens at /run\n\nStart one with:\n")
    assert isinstance(said, UnreachableError)
    assert str(said) == "Could not connect to a server: nobody listens at /run"


@pytest.mark.parametrize(("text", "result"), [("ab" * 32, "ab" * 32), ("17", 17), ('["x"]', ["x"])])
def test_a_result(text: str, result: object) -> None:
    assert read_result(text) == result


def test_an_error_that_leaves_it_open_whether_it_was_done_is_no_refusal() -> None:
    said = what_was_said("error code: -9\nerror message:\nIt was ended. Whether all of it did is unknown.")
    assert isinstance(said, UnknownError)
