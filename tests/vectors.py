"""The vectors that lie beside the project (their README.md says what they are): Bitcoin Core's chain, answers and data.

A test that needs them skips where they are absent, saying so.
"""

import json
import os
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(os.environ.get("BITCOIND_MP_VECTORS") or Path(__file__).resolve().parents[2] / "shared" / "vectors")
ABSENT = f"no vectors at {VECTORS}"
needed = pytest.mark.skipif(not VECTORS.is_dir(), reason=ABSENT)
"""Marks a test that needs them."""


def read(name: str) -> str:
    """The text of one file, or the test is skipped."""
    if not VECTORS.is_dir():
        pytest.skip(ABSENT)
    return (VECTORS / name).read_text()


@cache
def load(name: str) -> Any:
    """The values of a JSON file, fractions as `Decimal`, or the test is skipped."""
    return json.loads(read(name), parse_float=Decimal)


def core_data(name: str) -> Any:
    """A file of Core's own test data."""
    return load(f"core-data/{name}")


def answers() -> dict[str, Any]:
    """What Core answered: by name the method, its params, the wallet and the result; names with ``_`` are facts."""
    found: dict[str, Any] = load("core-regtest/answers.json")
    return found


def questions(wanted: Callable[[dict[str, Any]], bool]) -> list[Any]:
    """Parameters for a test, one for each question put to Core that is wanted: its name, under that name."""
    if not VECTORS.is_dir():
        return [pytest.param("", marks=pytest.mark.skip(reason=ABSENT), id="no vectors")]
    return [
        pytest.param(name, id=name)
        for name, question in answers().items()
        if not name.startswith("_") and wanted(question)
    ]
