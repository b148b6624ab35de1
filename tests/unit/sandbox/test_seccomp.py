"""The rules of the filter, without loading one."""

import errno
import socket

import pytest

from bitcoind_mp.sandbox import seccomp, syscalls


def test_no_call_is_both_carried_out_and_refused() -> None:
    decided = {"socket", "socketpair", "ioctl", "clone", "prlimit64", "fcntl", "fcntl64", "setsockopt", "prctl"}
    decided |= {*syscalls.TO_A_PROCESS, *syscalls.TO_AN_ADDRESS, *syscalls.WATCHING}
    assert not set(syscalls.ALLOWED) & set(syscalls.REFUSED)
    assert not decided & {*syscalls.ALLOWED, *syscalls.REFUSED}
    assert "clone3" not in {*syscalls.ALLOWED, *syscalls.REFUSED}


def test_only_the_families_given_get_sockets() -> None:
    made = [rule for rule in seccomp.rules([socket.AF_UNIX], 7) if rule.name == "socket"]
    allowed = [rule.conditions[0][3] for rule in made if not rule.error]
    assert allowed == [socket.AF_UNIX]
    refused = {rule.conditions[0][3] for rule in made if rule.error == errno.EAFNOSUPPORT}
    assert {socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET} <= refused


def test_who_makes_no_socket_connects_none() -> None:
    made = [rule for rule in seccomp.rules([], 7) if rule.name in syscalls.TO_AN_ADDRESS]
    plain = {rule.name for rule in made if rule.error == errno.EPERM and not rule.conditions}
    assert plain == {"bind", "connect", "sendmmsg"}
    assert [(rule.name, rule.conditions[0]) for rule in made if not rule.error] == [("sendto", (4, 4, 0, 0))]
    free = [rule for rule in seccomp.rules([socket.AF_INET], 7) if rule.name in syscalls.TO_AN_ADDRESS]
    assert [(rule.name, rule.error) for rule in free] == [(name, 0) for name in syscalls.TO_AN_ADDRESS]


def test_who_connects_to_no_path_watches_none() -> None:
    def of(families: list[int]) -> dict[str, int]:
        return {rule.name: rule.error for rule in seccomp.rules(families, 7) if rule.name in syscalls.WATCHING}

    assert set(of([socket.AF_UNIX]).values()) == {0}
    for families in ([], [socket.AF_INET]):
        assert set(of(families).values()) == {errno.EPERM}


def test_a_machine_without_the_library_is_told_what_to_install() -> None:
    with pytest.raises(seccomp.Unavailable, match=r"libnothing\.so\.9 is not installed"):
        seccomp.install([], "libnothing.so.9")


def test_a_process_signals_itself_alone() -> None:
    made = [rule for rule in seccomp.rules([], 7) if rule.name == "tgkill"]
    assert [(rule.error, rule.conditions[0][2]) for rule in made] == [(0, 7), (errno.EPERM, 7)]
    assert made[0].conditions[0][1] != made[1].conditions[0][1]
