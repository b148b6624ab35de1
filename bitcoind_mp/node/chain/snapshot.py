"""A readable copy of a LevelDB that another owner is about to open: made in no time and taking no room.

LevelDB's table files never change once written, so they are hard-linked; the few small files that do change are
copied. The copy stays whole while the owner rewrites its own.
"""

import shutil
from pathlib import Path

_TABLES = (".ldb", ".sst")


def snapshot(source: Path, target: Path) -> bool:
    """Make ``target`` a copy of the database in ``source``, which nobody may have open just now.

    What ``target`` held is removed. Returns False, and makes nothing, where there is no database.
    """
    remove(target)
    if not (source / "CURRENT").exists():
        return False
    target.mkdir(parents=True)
    for entry in source.iterdir():
        if entry.suffix in _TABLES:
            _link(entry, target / entry.name)
        elif entry.suffix == ".log" or entry.name == "CURRENT" or entry.name.startswith("MANIFEST-"):
            shutil.copyfile(entry, target / entry.name)
    return True


def remove(target: Path) -> None:
    """Remove a copy."""
    shutil.rmtree(target, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
