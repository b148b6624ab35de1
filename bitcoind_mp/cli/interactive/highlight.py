"""JSON in colours: text to (style, text) pieces for prompt_toolkit. Pure.

Written out rather than by a lexer library: JSON has five kinds of token, and what is coloured here was printed by us.
"""

import re

Fragments = list[tuple[str, str]]

_TOKEN = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)'
    r'|(?P<string>"(?:[^"\\]|\\.)*")'
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<literal>true|false|null)"
    r"|(?P<punctuation>[{}\[\],:])"
)
#: Longer texts are printed as they are: colour is for reading, and that is not read.
MOST = 200_000


def json_fragments(text: str) -> Fragments:
    """The pieces of a printed JSON value; joined they are the text."""
    if len(text) > MOST:
        return [("", text)]
    pieces: Fragments = []
    position = 0
    for token in _TOKEN.finditer(text):
        if token.start() > position:
            pieces.append(("", text[position : token.start()]))
        pieces.append((f"class:json.{token.lastgroup}", token.group()))
        position = token.end()
    if position < len(text):
        pieces.append(("", text[position:]))
    return pieces
