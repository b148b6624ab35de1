"""All key sets as one line of text, sealed as they are in the store: to be kept elsewhere, and brought back. Pure.

What is public of them lies open in it. Who changed it would be found out when a set is unlocked (`keysets.KeySets`).
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from .store import KeySetRow

_FORMAT = "bitcoind-mp signer backup 1"


class NoBackup(ValueError):
    """The text is no backup that could be used; the message says why, for people, and holds nothing of it."""


@dataclass(frozen=True)
class Backup:
    """What is in one. ``names``: which set each wallet's name stands for."""

    rows: list[KeySetRow]
    names: dict[str, str]


def written(chain: str, rows: Iterable[KeySetRow], names: Mapping[str, str]) -> str:
    """The text."""
    sets = [{**asdict(row), "master": _text(row.master), "seed": _text(row.seed)} for row in rows]
    body = {"format": _FORMAT, "chain": chain, "keysets": sets, "names": dict(names)}
    return json.dumps({**body, "checksum": _checksum(body)}, separators=(",", ":"))


def read(text: str, chain: str) -> Backup:
    """What is in a text. Raises `NoBackup`."""
    try:
        body = json.loads(text)
        checksum = body.pop("checksum")
        if body["format"] != _FORMAT:
            raise NoBackup("It is of another format: use the version of this program that wrote it.")
        if checksum != _checksum(body):
            raise NoBackup("It is not what was written: a part is missing or was changed.")
        if body["chain"] != chain:
            raise NoBackup(f"It is of another chain ({body['chain']}, this is {chain}).")
        rows = [_row(one) for one in body["keysets"]]
        names = {str(name): str(id) for name, id in body["names"].items()}
    except NoBackup:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise NoBackup("It is no backup of a signer.") from error
    return Backup(rows, names)


def _row(one: dict[str, Any]) -> KeySetRow:
    master, seed = (base64.b64decode(one[name], validate=True) for name in ("master", "seed"))
    return KeySetRow(str(one["id"]), str(one["label"]), int(one["created"]), str(one["public"]), master, seed)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _checksum(body: dict[str, Any]) -> str:
    return sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
