"""A line of the shell taken apart."""

import pytest

from bitcoind_mp.cli.interactive.line import BadLine, Line, Unfinished, commands, is_finished, parse, split


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  getblockcount ", ["getblockcount"]),
        ("a 'b c' \"d e\" f\\ g", ["a", "b c", "d e", "f g"]),
        ("a 'b'\"c\"d ''", ["a", "bcd", ""]),
        (r'"a\"b\\c\d"', [r'a"b\c\d']),
        ('send {"addr": 0.1} [1, 2]', ["send", '{"addr": 0.1}', "[1, 2]"]),
        ('[{"a": "]} \\" ["}] x', ['[{"a": "]} \\" ["}]', "x"]),
        ("'[1, 2]' x", ["[1, 2]", "x"]),
        ("wpkh([ab/84h]xpub/0/*)#cs y", ["wpkh([ab/84h]xpub/0/*)#cs", "y"]),
        ('{\n  "a": 1\n}', ['{\n  "a": 1\n}']),
        ("a \\\nb", ["a", "b"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert [word.text for word in split(text)] == words


def test_words_know_where_they_stand() -> None:
    assert [(word.start, word.end) for word in split("ab 'c d' [1]")] == [(0, 2), (3, 8), (9, 12)]


@pytest.mark.parametrize(
    ("text", "inside"), [("a 'b", "'"), ('a "b', '"'), ("a [1,", "["), ('{"a', '"'), ("{[]", "{"), ("a\\", "\\")]
)
def test_what_is_open_waits_for_the_next_line(text: str, inside: str) -> None:
    with pytest.raises(Unfinished) as unfinished:
        split(text)
    assert unfinished.value.inside == inside
    assert not is_finished(text)


def test_options_come_before_the_command() -> None:
    assert parse("-named -rpcwallet='my wallet' send x=1") == Line("send", ["x=1"], True, False, "my wallet")
    assert parse("-json status -f") == Line("status", ["-f"], False, True, None)
    assert parse("") == Line()
    with pytest.raises(BadLine, match=r"^-regtest is not for a line of the shell"):
        parse("-regtest getblockcount")


@pytest.mark.parametrize(
    ("text", "each"),
    [
        ("  \n ", []),
        ("a b", ["a b"]),
        ("a\nb c\n\nd\n", ["a", "b c", "d"]),
        ('send {"a":\n1}\nuptime', ['send {"a":\n1}', "uptime"]),
        ("a 'b\nc' d", ["a 'b\nc' d"]),
        ("a \\\nb\nc", ["a \\\nb", "c"]),
        ("a\\\nb", ["a\\\nb"]),
    ],
)
def test_a_line_break_outside_quotes_and_brackets_ends_a_command(text: str, each: list[str]) -> None:
    assert commands(text) == each


def test_generate_is_a_command_though_it_looks_like_an_option() -> None:
    assert parse("-rpcwallet=a -generate 3 7") == Line("-generate", ["3", "7"], wallet="a")
