"""Values on the screen: digits as Core prints them, colours that add up to the text."""

from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from prompt_toolkit.data_structures import Size
from prompt_toolkit.output.vt100 import Vt100_Output

from bitcoind_mp.cli.arguments import BadArgument
from bitcoind_mp.cli.interactive.highlight import MOST, json_fragments
from bitcoind_mp.cli.interactive.screen import Terminal, narrowed, result_fragments
from bitcoind_mp.cli.jsontext import write
from bitcoind_mp.cli.values import from_text, to_text_numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("0.00001000"), "0.00001000"),
        (Decimal("0.00000001"), "0.00000001"),
        (Decimal("0E-8"), "0.00000000"),
        (Decimal("4.656542373906925e-10"), "4.656542373906925e-10"),
        (112, "112"),
        (True, "true"),
        (None, "null"),
        ([Decimal("1.50000000"), {"a": 2}], '[\n  1.50000000,\n  {\n    "a": 2\n  }\n]'),
    ],
)
def test_numbers_keep_their_digits(value: Any, text: str) -> None:
    assert write(to_text_numbers(value)) == text


def test_parameters_keep_theirs() -> None:
    assert from_text('["a",0.10,{"b":1}]') == ["a", Decimal("0.10"), {"b": 1}]


def test_nothing_is_printed_of_null_and_a_string_is_printed_as_it_is() -> None:
    assert result_fragments(None) == []
    assert result_fragments("a\nb") == [("", "a\nb")]
    assert "".join(text for _, text in result_fragments([])) == "[\n]"


def test_each_kind_of_token_has_its_colour() -> None:
    text = '{\n  "key": "va\\"l: 1",\n  "n": [-1.5e-8, true]\n}'
    pieces = json_fragments(text)
    assert "".join(piece for _, piece in pieces) == text
    styles = {piece: style for style, piece in pieces}
    assert styles['"key"'] == "class:json.key"
    assert styles['"va\\"l: 1"'] == "class:json.string"
    assert styles["-1.5e-8"] == "class:json.number"
    assert styles["true"] == "class:json.literal"


def test_what_nobody_reads_is_not_coloured() -> None:
    text = '"' + "00" * MOST + '"'
    assert json_fragments(text) == [("", text)]


def test_a_name_that_comes_twice_is_not_halved() -> None:
    with pytest.raises(BadArgument, match="a is given more than once"):
        from_text('[{"a":1,"a":2}]')


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("scanning", 20, "scanning"),
        ("scanning", 4, "scan"),
        ("貯金 7 %", 4, "貯金"),
        ("貯金 7 %", 3, "貯"),
        ("x", 0, ""),
    ],
)
def test_a_remark_takes_no_more_columns_than_there_are(text: str, width: int, shown: str) -> None:
    assert narrowed(text, width) == shown


def test_an_error_is_broken_between_words() -> None:
    shown = StringIO()
    output = Vt100_Output(shown, lambda: Size(rows=5, columns=20), enable_cpr=False)
    Terminal(output, colour=False).error("error: the connection ended before the answer came")
    lines = [line.strip() for line in shown.getvalue().splitlines()]
    assert [line for line in lines if "connection" in line] == ["connection ended"]
