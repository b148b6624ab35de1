"""Which server is asked."""

import fcntl
import io
import json
from collections.abc import Callable
from pathlib import Path

from bitcoind_mp.cli.routing import Servers, read_table, whole
from bitcoind_mp.config import load
from bitcoind_mp.config.invocation import command_line
from bitcoind_mp.config.option import CLI


def table(directory: Path, role: str, *names: str, topic: str = "wallet") -> tuple[str, str]:
    commands = [{"name": name, "topic": topic, "params": []} for name in names]
    (directory / f"{role}.json").write_text(json.dumps({"role": role, "commands": commands}))
    return role, str(directory / f"{role}.sock")


def asked(servers: Servers, command: str) -> list[str]:
    return [server.role for server, _ in servers.having(command)]


def test_the_wallets_commands_are_not_asked_of_a_node_that_claims_them(tmp_path: Path) -> None:
    node = table(tmp_path, "node", "getblockcount", "walletpassphrase")
    servers = Servers([node, table(tmp_path, "wallet", "walletpassphrase")])
    assert asked(servers, "walletpassphrase") == ["wallet"]
    assert asked(servers, "getblockcount") == ["node"]


def test_the_signers_commands_are_asked_of_nobody_else(tmp_path: Path) -> None:
    claimed = [table(tmp_path, role, "exportsignerkeys", "getbalance") for role in ("node", "wallet")]
    servers = Servers([*claimed, table(tmp_path, "signer", "exportsignerkeys", topic="signer")])
    assert asked(servers, "exportsignerkeys") == ["signer"]
    assert asked(servers, "getbalance") == ["wallet"]


def test_a_node_that_was_named_is_no_exception(tmp_path: Path) -> None:
    _, socket = table(tmp_path, "node", "walletpassphrase")
    assert asked(Servers([("", socket), table(tmp_path, "wallet", "walletpassphrase")]), "walletpassphrase") == [
        "wallet"
    ]


def test_what_every_process_has_is_tried_in_order(tmp_path: Path) -> None:
    servers = Servers([table(tmp_path, role, "stop", topic="control") for role in ("supervisor", "node", "wallet")])
    assert asked(servers, "stop") == ["supervisor", "node", "wallet"]


class Watched(io.TextIOWrapper):
    """A file that is open for reading; ``looked`` is called at each look at its lock."""

    looked: Callable[[], None]

    def fileno(self) -> int:
        self.looked()
        return super().fileno()


def test_half_a_table_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    with path.open("wb", buffering=0) as file, Watched(path.open("rb"), "utf-8") as reading:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b'{"comm')
        looks = []

        def looked() -> None:
            looks.append(1)
            if len(looks) == 3:
                file.write(b'ands":[]}')
                fcntl.flock(file, fcntl.LOCK_UN)

        reading.looked = looked
        assert whole(reading) == '{"commands":[]}'


def test_one_that_is_not_let_go_is_done_without(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    with path.open("wb", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b'{"comm')
        assert read_table(str(tmp_path / "node.sock")) is None


def test_a_table_that_makes_no_sense_is_none(tmp_path: Path) -> None:
    for text in ('{"commands": [5]}', '{"commands": [{"topic": "a"}]}'):
        (tmp_path / "node.json").write_text(text)
        assert read_table(str(tmp_path / "node.sock")) is None


def test_how_to_start_one_leads_to_where_it_was_looked_for(tmp_path: Path) -> None:
    directory = tmp_path / "with blank"
    directory.mkdir()
    (directory / "x.conf").write_text("regtest=1\n")
    where = [f"-datadir={directory}", "-conf=x.conf"]
    shown = f"bitcoind-mp {{}} -datadir='{directory}' -conf=x.conf"
    assert command_line(load(where, CLI), "bitcoind-mp") == shown.format("-regtest")
    assert command_line(load([*where, "-regtest=0"], CLI), "bitcoind-mp") == shown.format("-chain=main")
    assert command_line(load([f"-datadir={tmp_path}"], CLI)) == f"bitcoin-mp -datadir={tmp_path}"


def test_a_supervisor_that_listens_elsewhere_is_found_with_its_units(tmp_path: Path) -> None:
    run, elsewhere = tmp_path / "regtest" / "run", tmp_path / "elsewhere"
    run.mkdir(parents=True)
    elsewhere.mkdir()
    for role in ("node", "wallet"):
        table(run, role, "getblockcount")
        (run / f"{role}.sock").touch()
    described = {"role": "supervisor", "commands": [], "run": str(run)}
    own = elsewhere / "sup.sock"
    own.with_suffix(".json").write_text(json.dumps(described))
    (run / "supervisor.json").write_text(json.dumps({**described, "socket": str(own)}))
    where = ["-regtest", f"-datadir={tmp_path}"]
    units = [str(run / "node.sock"), str(run / "wallet.sock")]
    assert [server.socket for server in Servers.of(load(where, CLI)).all()] == [str(own), *units[:1], *_rest(run)]
    named = Servers.of(load([*where, f"-ipcconnect=unix:{own}"], CLI)).all()
    assert named[0].role == "supervisor"
    assert {str(own), *units} <= {server.socket for server in named}


def _rest(run: Path) -> list[str]:
    return [str(run / "signer.sock"), str(run / "wallet.sock")]


def test_a_worker_does_not_say_where_the_others_are(tmp_path: Path) -> None:
    """It talks to strangers, and a passphrase is not to go where one of them says."""
    run = tmp_path / "regtest" / "run"
    run.mkdir(parents=True)
    lie = {"role": "supervisor", "commands": [], "run": "/evil", "socket": "/evil/x.sock"}
    for name in ("node", "signer", "wallet", "wallet@own"):
        (run / f"{name}.json").write_text(json.dumps(lie))
        config = load(["-regtest", f"-datadir={tmp_path}", f"-ipcconnect=unix:run/{name}.sock"], CLI)
        assert not any("evil" in server.socket for server in Servers.of(config).all())
