import pytest

from bitcoind_mp.ipc.wire.framing import Lines, LineTooLong


def test_lines_come_whole_whatever_the_pieces() -> None:
    stream = b'{"a":1}\n[]\n\n"' + b"x" * 50 + b'"\n'
    for size in range(1, len(stream) + 1):
        lines = Lines(100)
        got = [line for at in range(0, len(stream), size) for line in lines.feed(stream[at : at + size])]
        assert got == stream.split(b"\n")[:-1]
        assert lines.held == 0


def test_an_unfinished_line_is_held_and_counted() -> None:
    lines = Lines(100)
    assert lines.feed(b"ab\ncd") == [b"ab"]
    assert lines.held == 2
    assert lines.feed(b"e") == []
    assert lines.held == 3
    assert lines.feed(b"f\n") == [b"cdef"]
    assert lines.held == 0


@pytest.mark.parametrize(
    "pieces",
    [[b"x" * 11 + b"\n"], [b"x" * 11], [b"x" * 6, b"x" * 5], [b"a\n" + b"x" * 11], [b"a\n" + b"x" * 11 + b"\nb\n"]],
)
def test_a_line_over_the_limit_is_refused(pieces: list[bytes]) -> None:
    lines = Lines(10)
    with pytest.raises(LineTooLong):
        for piece in pieces:
            lines.feed(piece)
    assert lines.held == 0


def test_a_line_of_just_the_limit_passes() -> None:
    assert Lines(10).feed(b"x" * 10 + b"\n") == [b"x" * 10]
    lines = Lines(10)
    assert lines.feed(b"x" * 10) == []
    assert lines.feed(b"\n") == [b"x" * 10]


def test_pieces_beyond_the_limit_together_pass_when_each_line_is_short() -> None:
    assert Lines(10).feed(b"12345\n" * 100) == [b"12345"] * 100
