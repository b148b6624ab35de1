"""Values of each kind: what is read, and what is refused in which words."""

import pytest

from bitcoind_mp.config.option import BadValue, Option, interpret_flag, read_amount
from bitcoind_mp.config.options import BY_NAME, CATEGORIES, TABLE


@pytest.mark.parametrize(("text", "value"), [("", True), ("1", True), ("0", False), ("-1", True), ("2", True)])
def test_a_flag_is_read_as_core_reads_it(text: str, value: bool) -> None:
    assert interpret_flag(text) is value


@pytest.mark.parametrize("text", ["true", "yes", "0x1", "1_0", "٣"])
def test_a_flag_refuses_words_that_core_would_take_for_no(text: str) -> None:
    with pytest.raises(BadValue, match="expected 0 or 1"):
        interpret_flag(text)


@pytest.mark.parametrize(
    ("text", "satoshis"),
    [("0", 0), ("1", 100_000_000), ("0.00001", 1000), (".5", 50_000_000), ("1.", 100_000_000), ("0.00000001", 1)],
)
def test_an_amount_is_in_satoshis(text: str, satoshis: int) -> None:
    assert read_amount(text) == satoshis


@pytest.mark.parametrize("text", ["", ".", "-1", "1e-5", "0.000000001", "1,5", "21000001", "abc", "1 2"])
def test_a_bad_amount_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="amount"):
        read_amount(text)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("port", "0", "at least 1"),
        ("port", "65536", "at most 65535"),
        ("port", "80a", "expected a number"),
        ("port", "", "expected a number"),
        ("healthinterval", "nan", "expected a number"),
        ("healthinterval", "-1", "at least 0"),
        ("chain", "mainnet", "expected one of main, test"),
        ("addresstype", "p2pkh", "expected one of legacy"),
        ("blockfilterindex", "advanced", "expected one of 0, 1, basic"),
        ("ipcbind", "tcp:1", "expected unix or unix:<path>"),
        ("ipcbind", "unix:", "expected unix or unix:<path>"),
        ("ipcbind", "auto", "expected unix"),
        ("ipcconnect", "yes", "expected auto, 0, unix or unix:<path>"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_in_words(name: str, text: str, complaint: str) -> None:
    with pytest.raises(BadValue, match=complaint):
        BY_NAME[name].read(text)


def test_a_value_for_one_unit_alone() -> None:
    option = BY_NAME["maxrss"]
    assert option.split_unit("node:100") == ("node", "100")
    assert option.split_unit("100") == ("", "100")
    with pytest.raises(BadValue, match=r"no unit named miner: expected node or wallet \(or signer, with"):
        option.split_unit("miner:1")


@pytest.mark.parametrize("option", TABLE, ids=lambda option: option.name)
def test_each_row_is_whole(option: Option) -> None:
    assert option.category in CATEGORIES
    assert option.programs
    assert option.hidden or option.help.endswith(".") or option.help.endswith(")."), "help is a sentence"
    assert option.kind != "flag" or option.metavar == "", "a flag shows no value"
    assert option.kind == "flag" or option.metavar.startswith("=<") or option.per_unit
    assert "{default}" not in option.help or option.default is not None
    if option.default is not None and option.name not in ("datadir",):
        option.read(str(option.default) if not isinstance(option.default, float) else repr(option.default))


def test_no_name_is_there_twice_nor_looks_like_a_negation() -> None:
    assert len(BY_NAME) == len(TABLE)
    for name in BY_NAME:
        assert not (name.startswith("no") and name[2:] in BY_NAME), "could not be told from a negation"
