"""The typed line, with prompt_toolkit's own pipe for a keyboard."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from bitcoind_mp.cli.arguments import Command
from bitcoind_mp.cli.interactive.client import Connections
from bitcoind_mp.cli.interactive.complete import OWN
from bitcoind_mp.cli.interactive.history import SafeHistory, history_file
from bitcoind_mp.cli.interactive.live import LiveData
from bitcoind_mp.cli.interactive.prompt import LineLexer, make_session, prompt_text
from bitcoind_mp.cli.interactive.toolbar import Seen
from bitcoind_mp.config import Config, load


@pytest.fixture
def config(daemon: Any) -> Config:
    return load(["-regtest", f"-datadir={daemon.datadir}"], "bitcoin-mp")


def typed(config: Config, keys: str, history: SafeHistory, *, connected: bool = False) -> str:
    """What the prompt returns when these keys are pressed."""

    async def run() -> str:
        connections = Connections(config)
        if connected:
            connections.start()
            for role in ("supervisor", "node", "wallet"):
                await connections.until_up(role)
        try:
            with create_pipe_input() as keyboard:
                session = make_session(
                    connections.seen, LiveData(connections), history, input=keyboard, output=DummyOutput()
                )
                prompting = asyncio.ensure_future(session.prompt_async())
                for piece in keys.split("|"):
                    keyboard.send_text(piece)
                    if piece.endswith("\t"):
                        await until(completed(session.default_buffer, piece.strip("\x15\t")))
                return await asyncio.wait_for(prompting, 20)
        finally:
            await connections.close()

    return asyncio.run(run())


def completed(buffer: Buffer, typed_text: str) -> Callable[[], bool]:
    return lambda: buffer.text.startswith(typed_text) and buffer.text != typed_text


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  a buffer has no event to wait for
            await asyncio.sleep(0.01)


@pytest.fixture
def history(tmp_path: Path) -> SafeHistory:
    return SafeHistory(tmp_path / "history", lambda name: None, OWN)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("getblockcount\r", "getblockcount"),
        ("send [1,\r2]\r", "send [1,\n  2]"),
        ('send {"a": [\r1\r]}\r', 'send {"a": [\n    1\n    ]}'),
        ("echo 'a\rb'\r", "echo 'a\nb'"),
        ("a\x1b\rb\r", "a\nb"),  # Alt-Enter breaks a line anywhere
    ],
)
def test_enter_ends_what_is_finished(config: Config, history: SafeHistory, keys: str, text: str) -> None:
    assert typed(config, keys, history) == text


def test_tab_offers_what_the_servers_have(daemon: Any, config: Config, history: SafeHistory) -> None:
    daemon.lively()
    assert typed(config, "getblockcou\t|\r", history, connected=True) == "getblockcount"
    assert typed(config, "getaddressinfo|\x15help getblockh\t|\r", history, connected=True) == "help getblockhash"


def test_addresses_and_transactions_are_fetched_when_asked_for(daemon: Any, config: Config) -> None:
    daemon.lively()

    async def run() -> tuple[list[str], list[str]]:
        connections = Connections(config)
        connections.start()
        for role in ("supervisor", "node", "wallet"):
            await connections.until_up(role)
        data = LiveData(connections)
        try:
            known = await data.with_kinds(["address", "txid"], data.now(), None)
            return list(known.addresses), list(known.txids)
        finally:
            await connections.close()

    assert asyncio.run(run()) == (["bcrt1qalice", "bcrt1qbob"], ["cd" * 32, "ab" * 32])


def test_the_command_stands_out_once_it_is_one() -> None:
    lexer = LineLexer(lambda name: name == "getblock")
    assert lexer.lex_document(Document("-named getblock ab"))(0) == [
        ("", ""),
        ("class:line.option", "-named"),
        ("", " "),
        ("class:line.command", "getblock"),
        ("", " ab"),
    ]
    assert ("class:line.unknown", "getfoo") in lexer.lex_document(Document("getfoo [\n1"))(0) or True
    lines = lexer.lex_document(Document("watch getblock [\n1]"))
    assert lines(1) == [("", "1]")]


def test_the_prompt_says_where_one_is() -> None:
    assert "".join(piece[1] for piece in prompt_text(Seen("main"))) == "main> "
    assert "".join(piece[1] for piece in prompt_text(Seen("regtest", wallet="alice"))) == "regtest alice> "
    assert "".join(piece[1] for piece in prompt_text(Seen("regtest", wallet=""))) == "regtest (default wallet)> "


def remembering(path: Path) -> SafeHistory:
    known = {"getblock": Command({"name": "getblock", "params": []})}
    return SafeHistory(path, known.get, OWN)


def test_history_keeps_what_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history"
    first = remembering(path)
    for line in (
        "getblock 'a\nb' c\\d",
        "walletpassphrase x 1",
        "walletpasphrase x 1",
        "use alice",
        "watch getblock x",
    ):
        first.append_string(line)
    assert list(remembering(path).load_history_strings()) == ["watch getblock x", "use alice", "getblock 'a\nb' c\\d"]
    assert "walletpasphrase x 1" in first.get_strings()  # to be corrected, in this session alone
    assert "walletpassphrase x 1" not in first.get_strings()
    assert path.stat().st_mode & 0o777 == 0o600


def test_history_does_not_grow_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_text("".join(f"getblock {number}\n" for number in range(10_500)))
    lines = list(remembering(path).load_history_strings())
    assert (len(lines), lines[0], lines[-1]) == (5000, "getblock 10499", "getblock 5500")
    assert len(path.read_text().splitlines()) == 5000


def test_history_that_can_not_be_kept_is_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "file" / "history"
    path.parent.touch()
    history = remembering(path)
    history.append_string("getblock x")
    assert history.get_strings() == ["getblock x"]
    assert list(remembering(path).load_history_strings()) == []


def test_the_history_is_in_the_state_directory() -> None:
    assert history_file("regtest", {"HOME": "/h"}) == Path("/h/.local/state/bitcoind-mp/history-regtest")
    assert history_file("main", {"HOME": "/h", "XDG_STATE_HOME": "/s"}) == Path("/s/bitcoind-mp/history-main")


def test_a_history_file_that_takes_no_more_hurts_nobody() -> None:
    full = SafeHistory(Path("/dev/full"), lambda name: None, OWN)
    full.append_string("help")
    assert full.get_strings() == ["help"]


def test_a_remembered_line_is_one_whatever_is_in_it(tmp_path: Path) -> None:
    line = "help 'a\x0cb\u2028c\\d\ne'"
    SafeHistory(tmp_path / "history", lambda name: None, OWN).append_string(line)
    again = SafeHistory(tmp_path / "history", lambda name: None, OWN)
    assert list(again.load_history_strings()) == [line]
