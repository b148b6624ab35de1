"""Compares our answers with Bitcoin Core's, field by field."""

from collections.abc import Callable, Collection
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from bitcoind_mp.interfaces.errors import RpcError


def answer(ask: Callable[[], Any]) -> Any:
    """What was answered, as bitcoin-cli prints it and the vectors have it: an error in lines, nothing for null."""
    try:
        answered = ask()
        return "" if answered is None else answered
    except RpcError as error:
        return {"error": [f"error code: {error.code}", "error message:", *error.message.split("\n")]}


def same_error(error: RpcError, recorded: dict[str, Any]) -> list[str]:
    """Where an error differs from what was recorded of Core: code and message, the latter empty where it was the
    command's help, whose text is each program's own."""
    if "error" not in recorded:
        return [f"is the error {error.code} {error.message!r}, not {recorded['result']!r}"]
    code, message = recorded["error"]
    if error.code != code or message not in ("", error.message):
        return [f"is the error {error.code} {error.message!r}, not {code} {message!r}"]
    return []


def differences(
    ours: Any,
    core: Any,
    *,
    loose: Collection[str] = (),
    unordered: Collection[str] = (),
    in_order: bool = False,
    path: str = "",
) -> list[str]:
    """Where the two differ, a line each; nothing where they are alike.

    A path is dotted names from the top, without the positions in lists: ``tx.vout.value``; the top is "". In patterns
    of paths ``*`` stands for anything.

    Args:
        loose: patterns of fields of which type alone must match, and all below them.
        unordered: patterns of lists and objects whose order is not compared.
        in_order: whether the order of an object's members is compared.
    """
    here = path or "the answer"
    if kind(ours) != kind(core):
        return [f"{here}: is {ours!r}, not {core!r}"]
    if _named(path, loose):
        return []
    if isinstance(core, dict):
        found = [f"{here}: has no {name}" for name in core if name not in ours]
        found += [f"{here}: has {name} = {ours[name]!r}, which Core's has not" for name in ours if name not in core]
        for name in core.keys() & ours.keys():
            below = f"{path}.{name}" if path else name
            found += differences(
                ours[name], core[name], loose=loose, unordered=unordered, in_order=in_order, path=below
            )
        if in_order and not found and list(ours) != list(core) and not _named(path, unordered):
            found.append(f"{here}: has its members in the order {list(ours)}, not {list(core)}")
        return found
    if isinstance(core, list):
        if len(ours) != len(core):
            return [f"{here}: has {len(ours)} items, not {len(core)}: {ours!r}, not {core!r}"]
        if _named(path, unordered):
            ours = _paired(ours, core, loose, unordered, path)
        return [
            line
            for mine, theirs in zip(ours, core, strict=True)
            for line in differences(mine, theirs, loose=loose, unordered=unordered, in_order=in_order, path=path)
        ]
    return [] if ours == core else [f"{here}: is {ours!r}, not {core!r}"]


def kind(value: Any) -> str:
    """The JSON type."""
    if isinstance(value, bool) or value is None:
        return str(value is None)
    return "number" if isinstance(value, int | float | Decimal) else type(value).__name__


def _named(path: str, patterns: Collection[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _paired(
    ours: list[Any], core: list[Any], loose: Collection[str], unordered: Collection[str], path: str
) -> list[Any]:
    """Ours in the order of Core's items that they are like; what is like none comes where there is room."""
    left, found = list(ours), []
    for theirs in core:
        like = [each for each in left if not differences(each, theirs, loose=loose, unordered=unordered, path=path)]
        found.append(like[0] if like else None)
        if like:
            left.remove(like[0])
    return [left.pop(0) if each is None else each for each in found]
