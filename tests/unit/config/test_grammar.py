"""The command line and bitcoin.conf as Core reads them; refusals name the option and say what to do."""

import pytest

from bitcoind_mp.config.grammar import (
    ConfigFile,
    Refused,
    parse_command_line,
    read_config_file,
    refuse_unknown,
    split_key,
)
from bitcoind_mp.config.option import CLI, NODE, PROGRAMS, SUPERVISOR, WALLET
from bitcoind_mp.config.settings import Settings


def parsed(*arguments: str, program: str = SUPERVISOR) -> dict[str, list[str | bool]]:
    settings = Settings()
    parse_command_line(list(arguments), program, settings)
    return settings.command_line


def refusal(*arguments: str, program: str = SUPERVISOR) -> str:
    with pytest.raises(Refused) as refused:
        parsed(*arguments, program=program)
    return f"{refused.value} {refused.value.hint}".strip()


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("port", ("", "port", False)),
        ("noport", ("", "port", True)),
        ("regtest.port", ("regtest", "port", False)),
        ("regtest.noport", ("regtest", "port", True)),
        ("a.b.c", ("a", "b.c", False)),
    ],
)
def test_a_key_has_section_name_and_negation(key: str, parts: tuple[str, str, bool]) -> None:
    assert split_key(key) == parts


def test_one_dash_or_two_with_and_without_value() -> None:
    assert parsed("-port=5", "--txindex", "-noconnect", "-nolisten=0", "-nodaemon=1") == {
        "port": ["5"],
        "txindex": [""],
        "connect": [False],
        "listen": [True],
        "daemon": [False],
    }


def test_a_value_may_hold_equals_signs_and_be_empty() -> None:
    assert parsed("-wallet=a=b", "-wallet=") == {"wallet": ["a=b", ""]}


def test_options_end_at_the_first_argument_that_is_none() -> None:
    settings = Settings()
    rest = parse_command_line(["-named", "getblock", "-json", "x"], CLI, settings)
    assert rest == ["getblock", "-json", "x"]
    assert settings.command_line == {"named": [""]}
    assert parse_command_line(["-", "-json"], CLI, Settings()) == ["-", "-json"]


def test_an_unknown_option_is_named() -> None:
    assert refusal("-foo=3") == 'Invalid parameter -foo=3. See "bitcoind-mp -help" for the options there are.'
    assert refusal("--nofoo").startswith("Invalid parameter --nofoo")
    assert refusal("-main.port=1").endswith('See "bitcoind-mp -help" for the options there are.')
    assert refusal("-regtest.port=3").startswith("Invalid parameter -regtest.port=3")


def test_the_refusal_says_whose_option_it_is() -> None:
    assert refusal("-keypool=3", program=NODE) == (
        "Invalid parameter -keypool=3. It is an option of bitcoind-mp and bitcoin-mp-wallet."
    )
    assert "Bitcoin Core has this option, bitcoind_mp does not." in refusal("-prune=550", program=NODE)


def test_numbers_that_core_takes_and_clamps_are_taken() -> None:
    assert parsed("-par=99", "-keypool=0", program=SUPERVISOR) == {"par": ["99"], "keypool": ["0"]}


def test_bad_values_are_named_with_what_is_expected() -> None:
    assert refusal("-port=http") == "Invalid value in -port=http: expected a number"
    assert refusal("-txindex=true") == "Invalid value in -txindex=true: expected 0 or 1"
    assert refusal("-nolisten=x") == "Invalid value in -nolisten=x: expected 0 or 1"
    assert (
        refusal("-maxrss=peer:3")
        == "Invalid value in -maxrss=peer:3: no unit named peer: expected node or wallet (or signer, with "
        "-signerprocess)"
    )
    assert refusal("-port").startswith("Can not set -port with no value.")
    assert refusal("-nodatadir") == "Negating of -datadir is meaningless and therefore forbidden"
    assert refusal("-includeconf=x") == "-includeconf cannot be used from commandline; -includeconf=x"
    assert parsed("-noincludeconf") == {"includeconf": [False]}


def test_the_supervisor_takes_its_workers_options_and_not_the_front_ends() -> None:
    assert parsed("-keypool=3", "-txindex") == {"keypool": ["3"], "txindex": [""]}
    assert "It is an option of bitcoin-mp." in refusal("-rpcwallet=x")
    assert parsed("-keypool=3", program=WALLET) == {"keypool": ["3"]}


def read(text: str) -> list[tuple[str, str, int]]:
    return list(ConfigFile("bitcoin.conf").options(text))


def test_a_file_has_sections_comments_and_blank_lines() -> None:
    text = "# top\n port = 5 # five\r\n\n[regtest]\nport=6\nsignet.port=7\n[ main ]\nwallet=\n"
    assert read(text) == [
        ("port", "5", 2),
        ("regtest.port", "6", 5),
        ("regtest.signet.port", "7", 6),
        (" main .wallet", "", 8),
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("port\n", "parse error on line 1: port$"),
        ("a=1\nnolisten\n", "line 2: nolisten, if you intended to specify a negated option, use nolisten=1 instead"),
        ("-port=5\n", "line 1: -port=5, options in configuration file must be specified without leading -"),
    ],
)
def test_a_line_that_is_no_setting_is_refused_with_its_number(text: str, complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        read(text)


def test_one_file_serves_all_four_programs() -> None:
    text = "keypool=5\nrpcwallet=w\n[regtest]\nport=7\nnolisten=1\n"
    for program in PROGRAMS:
        settings = Settings()
        read_config_file("bitcoin.conf", text, program, settings)
        assert settings.files == {
            "": {"keypool": ["5"], "rpcwallet": ["w"]},
            "regtest": {"port": ["7"], "listen": [False]},
        }


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("fooo=1", "Invalid configuration value in bitcoin.conf line 1: fooo=1"),
        ("conf=x", "conf cannot be set in the configuration file"),
        ("help=1", "Invalid configuration value in bitcoin.conf line 1: help=1"),
        ("reindex=1", "Invalid configuration value in bitcoin.conf line 1: reindex=1"),
        ("port=x", "Invalid value in bitcoin.conf line 1: port=x: expected a number"),
    ],
)
def test_a_bad_setting_in_a_file_is_named_with_its_line(line: str, complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        refuse_unknown([read_config_file("bitcoin.conf", line + "\n", SUPERVISOR, Settings())], SUPERVISOR, "regtest")
