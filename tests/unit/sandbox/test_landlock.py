"""The rights that each version of the interface has, without touching this process."""

from bitcoind_mp.sandbox.landlock import NEWEST, WRITE, Fs, Net, Rules, Scope, handled, lacking, version

EVERYTHING = Rules()


def test_all_files_rights_of_the_first_version_are_taken_and_none_of_later_ones() -> None:
    fs, net, scope = handled(1, EVERYTHING)
    assert fs == Fs.REFER - 1
    assert not net
    assert not scope


def test_each_version_adds_what_it_added() -> None:
    assert Fs.REFER in handled(2, EVERYTHING)[0]
    assert Fs.TRUNCATE not in handled(2, EVERYTHING)[0]
    assert Fs.TRUNCATE in handled(3, EVERYTHING)[0]
    assert handled(4, EVERYTHING)[1] == Net.BIND_TCP | Net.CONNECT_TCP
    assert Fs.IOCTL_DEV not in handled(4, EVERYTHING)[0]
    assert Fs.IOCTL_DEV in handled(5, EVERYTHING)[0]
    assert not handled(5, EVERYTHING)[2]
    assert handled(6, EVERYTHING)[2] == Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL
    assert handled(7, EVERYTHING) == handled(6, EVERYTHING)


def test_what_the_rules_leave_is_not_taken() -> None:
    assert handled(7, Rules(connect=True))[1] == Net.BIND_TCP


def test_who_may_write_makes_no_socket_device_or_link_that_leads_elsewhere() -> None:
    assert not WRITE & (Fs.MAKE_SOCK | Fs.MAKE_CHAR | Fs.MAKE_BLOCK | Fs.MAKE_SYM | Fs.MAKE_FIFO | Fs.EXECUTE)


def test_what_a_version_lacks_is_said_in_words() -> None:
    assert lacking(NEWEST) == []
    assert lacking(5) == ["signals and abstract sockets (Landlock ABI 6, Linux 6.12)"]
    assert lacking(0) == ["files (Landlock, Linux 5.13)"]
    assert len(lacking(1)) == 5


def test_asking_for_the_version_binds_nobody() -> None:
    assert version() == version() >= 0
