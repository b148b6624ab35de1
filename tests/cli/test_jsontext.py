"""JSON that keeps what it was given: digits, order, other scripts than Latin."""

import json
import subprocess
import sys

import pytest

from bitcoind_mp.cli.jsontext import NotJson, Number, compact, parse, quote, write


@pytest.mark.parametrize("text", ["0.00001000", "1e-8", "-0", "123456789012345678901234567890", "20999999.97690000"])
def test_a_number_keeps_its_digits(text: str) -> None:
    value = parse(text)
    assert isinstance(value, Number)
    assert write(value) == text


@pytest.mark.parametrize(
    "text", ["", "abc", "01", "1 2", "{", '{"a":1,}', "[1,]", "NaN", "-Infinity", '"\n"', "[" * 100_000]
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(NotJson):
        parse(text)


def test_space_around_a_value_is_nothing() -> None:
    assert parse(" \n[1 , 2]\t") == ["1", "2"]


def test_order_and_script_are_kept() -> None:
    text = '{"b":[true,false,null],"a":"grün 漢"}'
    assert compact(parse(text)) == text


def test_printed_as_univalue_prints_it() -> None:
    assert write(parse('{"a":[],"b":{},"c":[{"d":1},"e"]}')) == (
        '{\n  "a": [\n  ],\n  "b": {\n  },\n  "c": [\n    {\n      "d": 1\n    },\n    "e"\n  ]\n}'
    )


@pytest.mark.parametrize("text", ['a"b\\c', "\b\f\n\r\t\x00\x1f", "é", "\x7f", "\ud83d\ude00"])
def test_a_quoted_string_reads_as_itself(text: str) -> None:
    assert json.loads(quote(text)) == text
    assert "\x7f" not in quote(text)


@pytest.mark.parametrize("text", ["", '{"role":"node","commands":[{"na', '{"a":1,', "[1", "{"])
def test_half_a_text_is_refused_where_nobody_imported_the_decoder_too(text: str) -> None:
    """As on the one-shot path, which reads tables that another process may be writing."""
    code = (
        "import sys\nfrom bitcoind_mp.cli.jsontext import NotJson, parse\nassert 'json.decoder' not in sys.modules\n"
        f"try:\n    parse({text!r})\nexcept NotJson:\n    print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("refused\n", "")
