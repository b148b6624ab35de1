"""A supervisor whose own socket is elsewhere (-ipcbind): found with and without -ipcconnect, and its units with it."""

from pathlib import Path

from harness import Daemon


def test_a_supervisor_with_a_socket_elsewhere_is_all_there(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    daemon = Daemon(tmp_path / "data", f"-ipcbind=unix:{elsewhere}/sup.sock")
    try:
        daemon.start()
        named = f"-ipcconnect=unix:{elsewhere}/sup.sock"
        daemon.run("bitcoin-mp", named, "createwallet", "savings")
        assert daemon.run("bitcoin-mp", named, "-generate", "1").stdout.count('"blocks"') == 1
        for options in ([], [named]):
            assert daemon.run("bitcoin-mp", *options, "status").stdout.startswith("● bitcoind-mp")
            assert daemon.run("bitcoin-mp", *options, "getblockcount").stdout == "1\n"
            assert daemon.run("bitcoin-mp", *options, input="getblockcount\n").stdout.strip() == "1"
        assert daemon.run("bitcoin-mp", "stop").stdout == "bitcoind-mp stopping\n"
    finally:
        daemon.clean_up()
