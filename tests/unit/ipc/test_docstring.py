from bitcoind_mp.ipc.declared.docstring import parse_docstring

TEXT = """Returns a block.
In detail.

More of it.

Args:
    blockhash: The block hash
    verbosity: 0 for hex-encoded data,
        1 for a JSON object

Returns:
    A string,
      or an object

Examples:
    > bitcoin-mp getblock "00"
"""


def test_a_docstring_is_taken_apart() -> None:
    doc = parse_docstring(TEXT)
    assert doc.summary == "Returns a block. In detail."
    assert doc.description == "Returns a block.\nIn detail.\n\nMore of it."
    assert doc.arguments == {
        "blockhash": "The block hash",
        "verbosity": "0 for hex-encoded data, 1 for a JSON object",
    }
    assert doc.returns == "A string,\n  or an object"
    assert doc.examples == '> bitcoin-mp getblock "00"'


def test_a_type_in_brackets_is_kept_apart() -> None:
    doc = parse_docstring("One.\n\nArgs:\n    a (numeric or string): x\n    b: y\n")
    assert doc.arguments == {"a": "x", "b": "y"}
    assert doc.types == {"a": "numeric or string"}


def test_no_docstring_is_no_error() -> None:
    assert parse_docstring("").description == ""


def test_text_after_a_section_ends_it() -> None:
    doc = parse_docstring("One.\n\nArgs:\n    a: x\nAfter.")
    assert doc.arguments == {"a": "x"}
    assert doc.description == "One.\n\nAfter."
