"""Files that lie among others' and must be replaced in one step now and then.

To replace a file is to make and remove names in its directory, and who may do that to one may do it to all. So such a
file lies in a directory of its owner's alone, and where others look for it is a symbolic link.
"""

import contextlib
import errno
import os
import shutil
from pathlib import Path

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError


def keep_in(directory: Path, link: Path) -> None:
    """Have the file ``link``, if there is one, lie in ``directory``; in its place, a link to where it lies or will lie.

    Write it by `Path.resolve`, then. A program that knows nothing of this replaces the link by a file: call this at
    each start, before the process confines itself, and with nobody else at the file. A link of somebody else's is left
    alone. Cut short, it is as it was.

    Raises:
        FatalError: CONFIG, a file system that has no symbolic links.
        OSError: no room, no permission.
    """
    target = directory / link.name
    leads_to = os.path.relpath(target, link.parent)
    if link.is_symlink():
        return
    target.unlink(missing_ok=True)
    if link.exists():
        try:
            os.link(link, target)
        except OSError:  # another file system, or one without hard links
            shutil.copy2(link, target)
    unfinished = link.with_name(link.name + ".link")
    with contextlib.suppress(FileNotFoundError):
        unfinished.unlink()
    _link(unfinished, leads_to)
    unfinished.replace(link)


def _link(link: Path, leads_to: str) -> None:
    try:
        link.symlink_to(leads_to)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
            raise
        raise FatalError(
            f"The file system of {link.parent} has no symbolic links, which a confined process needs.",
            hint="Choose a -datadir elsewhere, or start with -sandbox=off.",
            status=ExitStatus.CONFIG,
        ) from error
