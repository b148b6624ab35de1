"""The manual pages: generated from the table, committed as generated, and well-formed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bitcoind_mp.config.help import USAGES
from bitcoind_mp.config.instances import PREFIX
from bitcoind_mp.config.manual import pages
from bitcoind_mp.config.option import CLI, PROGRAMS
from bitcoind_mp.config.options import TABLE
from bitcoind_mp.interfaces.journal import Event
from bitcoind_mp.node.service import NodeService
from bitcoind_mp.service.worker import Service
from bitcoind_mp.signer.service import SignerService
from bitcoind_mp.supervisor.plan import STOP_ORDER
from bitcoind_mp.wallet.service import WalletService

MAN = Path(__file__).resolve().parents[3] / "man"
PAGES = pages(MAN)


def test_there_is_a_page_for_each_program_and_the_file() -> None:
    assert set(PAGES) == {*(f"{program}.1" for program in PROGRAMS), "bitcoind-mp.conf.5"}


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_is_what_the_generator_writes(name: str) -> None:
    assert (MAN / name).read_text() == PAGES[name], "run: make man"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_page_has_every_option_of_its_program(program: str) -> None:
    text = PAGES[f"{program}.1"]
    for option in TABLE:
        shown = option.taken_by(program) and not option.hidden
        assert (f"\n.It Fl {option.name}\n" in text or f"\n.It Fl {option.name} Ns" in text) is shown, option.name
    assert "{default}" not in text


def test_the_files_page_has_what_may_stand_in_it() -> None:
    text = PAGES["bitcoind-mp.conf.5"]
    assert "\n.It Cm keypool Ns No \\&= Ns Ar n\n" in text
    assert "\n.It Cm conf" not in text
    assert "\n.It Cm includeconf" in text


@pytest.mark.parametrize("name", PAGES)
def test_mandoc_finds_no_fault(name: str) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    done = subprocess.run(
        ["mandoc", "-Tlint", "-Wwarning", str(MAN / name)], capture_output=True, text=True, timeout=60, check=False
    )
    faults = [line for line in (done.stdout + done.stderr).splitlines() if "mandoc.db" not in line]
    assert faults == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_indexed(name: str) -> None:
    if shutil.which("lexgrog") is None:
        pytest.skip("lexgrog is not installed")
    done = subprocess.run(["lexgrog", str(MAN / name)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert f'"{name.rpartition(".")[0]} - ' in done.stdout


@pytest.mark.parametrize("name", PAGES)
def test_no_example_goes_on_after_a_program_that_keeps_the_terminal(name: str) -> None:
    examples = re.findall(r"^\.Dl \$ bitcoin-mp-(?:node|wallet)\b(.*)\n(?=\.Dl)", PAGES[name], re.MULTILINE)
    assert all(rest.endswith(" &") for rest in examples), examples


def test_the_units_of_logs_may_be_left_out_wherever_it_is_described() -> None:
    assert "logs [<unit>...] [-f]" in "".join(USAGES[CLI])
    assert PAGES["bitcoin-mp.1"].count("Cm logs Oo Ar unit ... Oc") == 2


@pytest.mark.parametrize(
    ("worker", "name"),
    [
        (NodeService, "bitcoin-mp-node.1"),
        (WalletService, "bitcoin-mp-wallet.1"),
        (SignerService, "bitcoin-mp-signer.1"),
    ],
)
def test_a_page_says_that_sighup_changes_nothing_as_long_as_that_is_so(worker: type[Service], name: str) -> None:
    page = PAGES[name]
    assert ("Nothing is read again" in page) is (worker.reload is Service.reload)


def test_the_journal_s_events_are_in_the_manual() -> None:
    manual = (MAN / "bitcoind-mp.1").read_text()
    for event in Event:
        assert len(str(event)) == 32 and int(event, 16)
        assert f".It Li {event}\n" in manual, event.name


def test_the_journal_s_field_names_every_unit() -> None:
    item = (MAN / "bitcoind-mp.1.in").read_text().partition(".It Cm UNIT\n")[2].partition(".It ")[0]
    named = set(re.findall(r"[a-z@]+", item.partition("whom")[0]))
    assert {"supervisor", *STOP_ORDER, PREFIX} <= named


def test_it_says_who_is_told_of_credentials() -> None:
    """As `Manager` hands CREDENTIALS_DIRECTORY on."""
    item = (MAN / "bitcoind-mp.1.in").read_text().partition(".It Ev CREDENTIALS_DIRECTORY\n")[2].partition(".It ")[0]
    assert "signer" in item and "wallet" in item


def test_an_argument_looks_in_the_text_as_beside_its_option() -> None:
    assert "Keep at most \\fIn\\fR connections" in PAGES["bitcoin-mp-node.1"]
    assert not [name for name, text in PAGES.items() if "<n>" in text]
