"""Whether the kernel killed a process of ours for want of memory: it says so only by a counter of the control group.

A SIGKILL looks the same whoever sent it. Version 2 of the interface counts in ``memory.events``, version 1 in
``memory.oom_control`` (the kernel's ``admin-guide/cgroup-v2.rst`` and ``cgroup-v1/memory.rst``); both count a group's
own processes alone. Where there is neither, nobody can tell.
"""

from pathlib import Path

_COUNTER = "oom_kill"


class Starvation:
    """Counts the kernel's kills in our own control group. ``counter`` is the file, None where there is none."""

    def __init__(self, counter: Path | None) -> None:
        self._counter = counter
        self._known = self._count()

    def explains_a_kill(self) -> bool:
        """Whether there was a kill that hasn't explained a process's end yet; this one is then explained by it."""
        if self._count() <= self._known:
            return False
        self._known += 1
        return True

    def forget(self) -> None:
        """Kills up to now were of others."""
        self._known = self._count()

    def _count(self) -> int:
        if self._counter is None:
            return 0
        try:
            lines = self._counter.read_text().splitlines()
        except OSError:
            return 0
        found = (line.split() for line in lines)
        return next((int(words[1]) for words in found if len(words) == 2 and words[0] == _COUNTER), 0)


def own_counter(root: Path = Path("/")) -> Path | None:
    """The file that counts for this process's control group (cgroups(7)), None where there is none."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return None
    for line in groups:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            kind, option, file = "cgroup2", "", "memory.events"
        elif "memory" in controllers.split(","):
            kind, option, file = "cgroup", "memory", "memory.oom_control"
        else:
            continue
        for place in _mounted(mounts, kind, option, group):
            if (root / place.lstrip("/") / file).is_file():
                return root / place.lstrip("/") / file
    return None


def _mounted(mounts: list[str], kind: str, option: str, group: str) -> list[str]:
    """Where a group is seen, by the mounts of such file systems: each shows what is below one group."""
    found = []
    for line in mounts:
        before, _, after = line.partition(" - ")
        top, point = before.split()[3:5]
        words = after.split()
        if words[0] != kind or (option and option not in words[-1].split(",")):
            continue
        below = group if top == "/" else group.removeprefix(top) if f"{group}/".startswith(f"{top}/") else "/"
        found.append(point + below.rstrip("/"))
    return found
