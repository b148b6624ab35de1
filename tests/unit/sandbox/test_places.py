"""Files that lie in their owner's directory, with a link where others look for them."""

from pathlib import Path

import pytest

from bitcoind_mp.sandbox.places import keep_in


@pytest.fixture
def own(tmp_path: Path) -> Path:
    made = tmp_path / "own"
    made.mkdir()
    return made


def test_a_file_moves_and_is_found_where_it_was(tmp_path: Path, own: Path) -> None:
    link = tmp_path / "file.dat"
    link.write_text("old")
    keep_in(own, link)
    assert link.read_text() == "old"
    assert link.readlink() == Path("own/file.dat")
    link.resolve().write_text("new")
    assert (own / "file.dat").read_text() == link.read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.dat", "own"]


def test_a_second_start_changes_nothing(tmp_path: Path, own: Path) -> None:
    link = tmp_path / "file.dat"
    link.write_text("old")
    keep_in(own, link)
    keep_in(own, link)
    assert link.read_text() == "old"


def test_a_file_that_another_program_put_there_counts(tmp_path: Path, own: Path) -> None:
    link = tmp_path / "file.dat"
    link.write_text("ours")
    keep_in(own, link)
    other = tmp_path / "file.dat.new"
    other.write_text("theirs")
    other.replace(link)
    keep_in(own, link)
    assert (own / "file.dat").read_text() == link.read_text() == "theirs"
    assert link.is_symlink()


def test_a_file_that_a_person_removed_stays_removed(tmp_path: Path, own: Path) -> None:
    link = tmp_path / "file.dat"
    link.write_text("old")
    keep_in(own, link)
    link.unlink()
    keep_in(own, link)
    assert not link.exists()
    assert link.is_symlink()


def test_a_link_of_somebody_elses_stays(tmp_path: Path, own: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("x")
    link = tmp_path / "file.dat"
    link.symlink_to(elsewhere)
    keep_in(own, link)
    assert link.readlink() == elsewhere


def test_what_was_cut_short_is_done_again(tmp_path: Path, own: Path) -> None:
    link = tmp_path / "file.dat"
    link.write_text("old")
    (own / "file.dat").hardlink_to(link)
    (tmp_path / "file.dat.link").symlink_to("own/file.dat")
    keep_in(own, link)
    assert link.is_symlink()
    assert link.read_text() == "old"
    assert not (tmp_path / "file.dat.link").is_symlink()
