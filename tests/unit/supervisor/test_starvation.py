"""The kernel's counter of kills for want of memory: found in either version, and each kill explains one end."""

from pathlib import Path

import pytest

from bitcoind_mp.supervisor.processes.starvation import Starvation, own_counter

V2 = "30 24 0:27 {top} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw,nsdelegate\n"
V1 = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"


def machine(root: Path, groups: str, mounts: str, counter: str) -> Path:
    """A root directory with these groups, mounts, and one counter file."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    (root / "proc/self/mountinfo").write_text(mounts)
    file = root / counter
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\n")
    return file


@pytest.mark.parametrize(
    ("groups", "mounts", "counter"),
    [
        ("0::/system.slice/a.service\n", V2.format(top="/"), "sys/fs/cgroup/system.slice/a.service/memory.events"),
        ("0::/\n", V2.format(top="/"), "sys/fs/cgroup/memory.events"),
        ("0::/box/a\n", V2.format(top="/box"), "sys/fs/cgroup/a/memory.events"),
        ("9:cpu:/\n4:memory:/box/a\n0::/\n", V1, "sys/fs/cgroup/memory/box/a/memory.oom_control"),
    ],
)
def test_the_counter_of_our_own_group_is_found(tmp_path: Path, groups: str, mounts: str, counter: str) -> None:
    file = machine(tmp_path, groups, mounts, counter)
    assert own_counter(tmp_path) == file


def test_where_there_is_none_nothing_is_explained(tmp_path: Path) -> None:
    assert own_counter(tmp_path) is None
    machine(tmp_path, "0::/a\n", V2.format(top="/"), "elsewhere/memory.events")
    assert own_counter(tmp_path) is None
    assert not Starvation(None).explains_a_kill()


def test_each_kill_explains_one_end(tmp_path: Path) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text("oom_kill 3\noom_group_kill 7\n")
    starvation = Starvation(counter)
    assert not starvation.explains_a_kill(), "those before us were of others"
    counter.write_text("oom_kill 5\n")
    assert [starvation.explains_a_kill() for _ in range(3)] == [True, True, False]
    counter.write_text("oom_kill 6\n")
    starvation.forget()
    assert not starvation.explains_a_kill()
    counter.unlink()
    assert not starvation.explains_a_kill()
