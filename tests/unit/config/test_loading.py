"""From arguments and files to a configuration: order, networks, what stops it and with which status."""

from pathlib import Path

import pytest

from bitcoind_mp.config import load, start
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError


def test_the_default_directory_is_below_home_and_need_not_exist(tmp_path: Path) -> None:
    config = load(["-regtest"], "bitcoind-mp", environ={"HOME": str(tmp_path)})
    assert config.datadir == tmp_path / ".bitcoind-mp"
    assert config.network_dir == tmp_path / ".bitcoind-mp" / "regtest"
    assert not config.datadir.exists()


def test_a_named_directory_must_exist(tmp_path: Path) -> None:
    with pytest.raises(FatalError) as refused:
        load([f"-datadir={tmp_path}/none"], "bitcoin-mp-node")
    assert refused.value.status is ExitStatus.CONFIG
    assert "/none" in str(refused.value)


@pytest.mark.parametrize(
    ("argument", "chain", "directory", "port"),
    [
        ("-chain=main", "main", ".", 8333),
        ("-testnet", "test", "testnet3", 18333),
        ("-testnet4", "testnet4", "testnet4", 48333),
        ("-signet", "signet", "signet", 38333),
        ("-chain=regtest", "regtest", "regtest", 18444),
    ],
)
def test_each_network_has_cores_directory_and_port(loaded, datadir, argument, chain, directory, port) -> None:
    config = loaded(argument)
    assert config.chain == chain
    assert config.network_dir == datadir / directory
    assert config.get_int("port") == port


def test_the_file_may_choose_the_network(loaded) -> None:
    assert loaded(conf="regtest=1\n").chain == "regtest"
    assert loaded(conf="chain=signet\n").chain == "signet"
    assert loaded("-noregtest", conf="regtest=1\n").chain == "regtest"  # as in Core


def test_two_networks_at_once_are_refused(loaded) -> None:
    with pytest.raises(FatalError, match="Invalid combination"):
        loaded("-signet", conf="regtest=1\n")


def test_all_that_a_file_may_not_say_is_named_at_once_without_its_values(loaded) -> None:
    conf = "dbcache=100\nrpcpassword=secret\nkeypool=3\n[regtest]\nfooo=1\n"
    with pytest.raises(FatalError) as refused:
        loaded("-regtest", conf=conf)
    said = str(refused.value)
    assert "bitcoin.conf line 1: dbcache, " in said
    assert "bitcoin.conf line 2: rpcpassword, " in said
    assert "bitcoin.conf line 5: regtest.fooo." in said
    assert "Bitcoin Core has dbcache, rpcpassword, bitcoind_mp does not." in said
    assert "secret" not in said
    assert "\n" not in said


def test_what_stands_in_another_networks_section_is_not_looked_at(loaded) -> None:
    conf = "[main]\ndbcache=100\n[test]\nfooo=1\n[regtest]\nkeypool=3\n"
    assert loaded("-regtest", conf=conf).get_int("keypool") == 3
    with pytest.raises(FatalError, match=r"line 2: main\.dbcache=100\. Bitcoin Core has this option"):
        loaded(conf=conf)


@pytest.mark.parametrize("line", ["dbcache=100", "fooo=1", "keypool=x", "reindex=1", "help=1", "regtest.prune=550"])
def test_the_front_end_reads_past_what_is_not_for_it(loaded, line: str) -> None:
    conf = f"{line}\nrpcwallet=w\n"
    assert loaded("-regtest", conf=conf, program="bitcoin-mp").get_str("rpcwallet") == "w"
    with pytest.raises(FatalError, match="line 1"):
        loaded("-regtest", conf=conf)


def test_what_is_for_the_front_end_or_on_its_command_line_is_still_checked(loaded) -> None:
    with pytest.raises(FatalError, match="line 1: rpcclienttimeout=x"):
        loaded("-regtest", conf="rpcclienttimeout=x\n", program="bitcoin-mp")
    with pytest.raises(FatalError, match="Invalid parameter -dbcache=100"):
        loaded("-regtest", "-dbcache=100", program="bitcoin-mp")


def test_sections_and_the_command_line(loaded) -> None:
    conf = "keypool=1\nport=1111\n[regtest]\nkeypool=2\nport=2222\n[signet]\nport=x\n"
    with pytest.raises(FatalError, match=r"line 7: signet\.port=x"):
        loaded("-regtest", conf=conf)
    conf = conf.replace("=x", "=3333")
    assert loaded("-regtest", conf=conf).get_int("keypool") == 2
    assert loaded("-signet").get_int("keypool") == 1
    assert loaded("-signet").get_int("port") == 3333
    assert loaded("-regtest", "-keypool=9").get_int("keypool") == 9
    assert loaded("-testnet4").get_int("port") == 48333
    assert loaded().get_int("port") == 1111


def test_settings_without_effect_are_told(loaded) -> None:
    warnings = loaded("-regtest", conf="connect=1.2.3.4\n[reqtest]\nport=1\n").warnings
    assert warnings[0] == "Config setting for -connect only applied on regtest network when in [regtest] section."
    assert warnings[1].endswith("bitcoin.conf:2 Section [reqtest] is not recognized.")
    assert len(warnings) == 2


def test_conf_is_relative_to_the_data_directory_and_must_then_exist(loaded, datadir) -> None:
    (datadir / "other.conf").write_text("keypool=7\n")
    assert loaded("-conf=other.conf", conf="keypool=1\n").get_int("keypool") == 7
    assert loaded("-noconf").get_int("keypool") == 1000
    with pytest.raises(FatalError, match=r"missing\.conf"):
        loaded("-conf=missing.conf")
    (datadir / "dir.conf").mkdir()
    with pytest.raises(FatalError, match="is a directory"):
        loaded("-conf=dir.conf")


def test_a_file_that_is_not_text_is_refused_by_name(loaded, datadir) -> None:
    (datadir / "bitcoin.conf").write_bytes(b"port=\xff\n")
    with pytest.raises(FatalError, match="not UTF-8"):
        loaded()


def test_includeconf(loaded, datadir) -> None:
    (datadir / "more.conf").write_text("keypool=7\n[regtest]\nport=5\n")
    (datadir / "net.conf").write_text("txindex=1\n")
    conf = "includeconf=more.conf\n[regtest]\nincludeconf=net.conf\n"
    config = loaded("-regtest", conf=conf)
    assert config.get_int("keypool") == 7
    assert config.get_int("port") == 5
    assert config.get_bool("txindex")
    assert loaded("-regtest", "-noincludeconf").get_int("keypool") == 1000
    assert not loaded("-signet").get_bool("txindex")
    with pytest.raises(FatalError, match=r"gone\.conf"):
        loaded(conf="includeconf=gone.conf\n")


def test_the_file_may_move_the_data_directory(loaded, tmp_path, datadir) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (datadir / "x.conf").write_text(f"datadir={elsewhere}\n")
    home = tmp_path / "home"
    (home / ".bitcoind-mp").mkdir(parents=True)
    (home / ".bitcoind-mp" / "bitcoin.conf").write_text(f"datadir={elsewhere}\n")
    config = load(["-regtest"], "bitcoin-mp-node", environ={"HOME": str(home)})
    assert config.network_dir == elsewhere / "regtest"
    assert config.config_file == str(home / ".bitcoind-mp" / "bitcoin.conf")


@pytest.mark.parametrize("program", ["bitcoind-mp", "bitcoin-mp-node", "bitcoin-mp-wallet", "bitcoin-mp-signer"])
@pytest.mark.parametrize("left", [b'{"wallet": ["w"], "blocknotify": "touch x"}', b"{", b"[" * 100_000, None])
def test_what_the_wallets_process_can_write_is_no_source_of_options(loaded, datadir, program: str, left) -> None:
    """Core's settings.json, which that process writes: whoever breaks into it could have commands run."""
    file = datadir / "regtest" / "settings.json"
    file.parent.mkdir()
    if left is None:
        file.mkdir()
    else:
        file.write_bytes(left)
    config = loaded("-regtest", program=program)
    for name in ("wallet", "blocknotify", "unitnotify", "walletdir"):
        assert not config.is_set(name)
        assert config.get_list(name) == []


def test_names_that_cant_be_told_in_json_are_refused(loaded, datadir) -> None:
    with pytest.raises(FatalError, match="is not UTF-8"):
        load(["-regtest"], "bitcoind-mp", environ={"HOME": f"{datadir}/\udcff"})
    with pytest.raises(FatalError, match="Invalid value in -uacomment=\udcff: not UTF-8"):
        loaded("-uacomment=\udcff")


def test_a_null_character_in_a_file_is_refused(loaded) -> None:
    with pytest.raises(FatalError, match=r"bitcoin\.conf.* has a null character"):
        loaded(conf="pid=a\0b\n")


def test_a_double_negation_is_the_text_1(loaded, datadir) -> None:
    (datadir / "1").write_text("keypool=7\n")
    assert loaded("-noconf=0").get_int("keypool") == 7


def test_a_stray_argument_stops_a_daemon(loaded) -> None:
    with pytest.raises(FatalError, match="unexpected token 'getinfo'"):
        loaded("-regtest", "getinfo")
    assert loaded("-regtest", "getblockhash", "-1", program="bitcoin-mp").arguments == ["getblockhash", "-1"]


@pytest.mark.parametrize("program", ["bitcoind-mp", "bitcoin-mp-node", "bitcoin-mp-wallet", "bitcoin-mp"])
def test_start_prints_one_line_and_gives_78(program: str, capsys) -> None:
    assert start(["-nosuch"], program) == 78
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Error: Invalid parameter -nosuch")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("program", ["bitcoind-mp", "bitcoin-mp-node", "bitcoin-mp-wallet", "bitcoin-mp"])
def test_start_prints_help_and_version(program: str, capsys, tmp_path: Path) -> None:
    broken = tmp_path / "broken.conf"
    broken.write_text("nonsense\n")
    assert start([f"-conf={broken}", "-version"], program) == 0
    assert capsys.readouterr().out.startswith(program)
    assert start(["-?"], program) == 0
    text = capsys.readouterr().out
    assert "\n  -datadir=<dir>\n       Specify data directory" in text
    assert max(map(len, text.splitlines())) <= 79
    assert "-acceptnonstdtxn" not in text
    if program == "bitcoin-mp-node":
        assert start(["-help-debug"], program) == 0
        assert "-acceptnonstdtxn" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("-lisen=0", 'Invalid parameter -lisen=0. See "bitcoin-mp-node -help" for the options there are.'),
        ("-rpcwallet=x", "Invalid parameter -rpcwallet=x. It is an option of bitcoin-mp."),
        ("-rpcport=1", "Invalid parameter -rpcport=1. Bitcoin Core has this option, bitcoind_mp does not."),
    ],
)
def test_an_unknown_option_and_what_to_do_about_it_are_two_sentences(capsys, argument: str, said: str) -> None:
    assert start([argument], "bitcoin-mp-node") == 78
    assert capsys.readouterr().err == f"Error: {said}\n"
