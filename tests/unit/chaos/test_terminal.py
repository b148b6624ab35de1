"""What a shell shows is taken for what it means, however the terminal broke its lines and as much of it as has come."""

import pytest

from chaos.frontends import RefusedError, UnknownError, UnreachableError
from chaos.terminal import what_is_seen

LOST = "error: the connection ended before the answer came. Whether it took effect is unknown.\n"
TXID = "ab" * 32


@pytest.mark.parametrize("width", [20, 50, 78, 200])
def test_a_call_that_was_lost_may_have_been_done(width: int) -> None:
    lines = [""]
    for word in LOST.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    assert isinstance(what_is_seen("\n".join(lines)), UnknownError)


def test_nor_is_it_refused_while_the_rest_of_that_is_on_its_way() -> None:
    for end in range(len(LOST)):
        seen = what_is_seen(LOST[:end])
        assert seen is None or isinstance(seen, UnknownError)


def test_a_refusal_is_read_to_its_end() -> None:
    text = "error code: -9\nerror message:\nIt was ended by a shutdown. Whether all of it did is unknown.\n"
    assert isinstance(what_is_seen(text), UnknownError)
    assert what_is_seen(text[:60]) is None
    refused = what_is_seen("error code: -6\nerror message:\nInsufficient funds\n")
    assert isinstance(refused, RefusedError)
    assert (refused.code, refused.message) == (-6, "Insufficient funds")


def test_a_payment_and_nobody() -> None:
    assert what_is_seen(f"wallet> sendtoaddress x 1\n{TXID}\n") == TXID
    assert isinstance(what_is_seen("error: sendtoaddress is not known to what runs\n"), UnreachableError)
    assert what_is_seen("regtest> ") is None
