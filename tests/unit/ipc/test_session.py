"""A session by its bytes: what is written for what is received, without a socket."""

import asyncio
import json
import logging
from typing import Any

import pytest

from bitcoind_mp.interfaces.command import interface_method
from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.ipc.limits import MAX_BACKLOG, MAX_RUNNING, REQUESTS_A_TURN
from bitcoind_mp.ipc.session import Session


def line(method: str, params: Any = None, **members: Any) -> bytes:
    message = {"jsonrpc": "2.0", "method": method, **members}
    if params is not None:
        message["params"] = params
    return json.dumps(message).encode() + b"\n"


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)


def code_of(message: dict[str, Any]) -> int:
    code: int = message["error"]["code"]
    return code


@pytest.mark.parametrize(
    "method, params, result",
    [
        ("getblockcount", None, 112),
        ("getblockcount", [], 112),
        ("getblock", ["00" * 32, 2], ["00" * 32, 2]),
        ("getblock", {"blockhash": "00" * 32}, ["00" * 32, 1]),
        ("note", {"name": "self"}, "self"),
    ],
)
def test_a_request_is_answered_at_once(recording: Any, example: Any, method: str, params: Any, result: Any) -> None:
    async def main() -> None:
        session, link = recording(example())
        session.received(line(method, params, id="a"))
        assert link.messages() == [{"jsonrpc": "2.0", "result": result, "id": "a"}]

    asyncio.run(main())


@pytest.mark.parametrize("identity", [1, "x", None, 0, 2**70])
def test_the_id_comes_back_as_it_was(recording: Any, example: Any, identity: Any) -> None:
    async def main() -> None:
        session, link = recording(example())
        session.received(line("getblockcount", id=identity))
        assert link.messages()[0]["id"] == identity

    asyncio.run(main())


@pytest.mark.parametrize(
    "method, params, code, words",
    [
        ("nosuch", [1], RpcCode.METHOD_NOT_FOUND, "Method not found"),
        ("getblock", [], RpcCode.MISC_ERROR, 'getblock "blockhash" ( verbosity )\n\nReturns a block.'),
        ("getblock", {"y": 1}, RpcCode.INVALID_PARAMETER, "Unknown named parameter y"),
        ("getblock", [1], RpcCode.TYPE_ERROR, "Wrong type passed:"),
        ("broken", [], RpcCode.INTERNAL_ERROR, "Internal error"),
        ("unwritable", [], RpcCode.INTERNAL_ERROR, "Internal error"),
        ("full", [], RpcCode.DATABASE_ERROR, "The disk is full: No space left on device"),
        ("health.check", [], RpcCode.METHOD_NOT_FOUND, "Method not found"),
    ],
)
def test_a_refusal_has_core_s_code(
    recording: Any, example: Any, method: str, params: Any, code: int, words: str
) -> None:
    async def main() -> None:
        session, link = recording(example())
        session.received(line(method, params, id=1) + line("getblockcount", id=2))
        refusal, after = link.messages()
        assert code_of(refusal) == code
        assert list(refusal["error"]) == ["code", "message"]
        assert refusal["error"]["message"].startswith(words)
        assert "secret" not in json.dumps(refusal)
        assert after["result"] == 112 and not link.closed

    asyncio.run(main())


def test_while_the_server_warms_up_commands_are_refused(recording: Any, example: Any) -> None:
    async def main() -> None:
        session, link = recording(example())
        session._shared.warmup = "Loading block index…"
        session.received(line("getblockcount", id=1) + line("notyet", id=2) + line("getblock", id=3) + line("notyet"))
        assert [message["error"] for message in link.messages()] == [
            {"code": -28, "message": "Loading block index…"}
        ] * 3
        session._shared.warmup = ""
        session.received(line("getblockcount", id=1))
        assert link.messages()[0]["result"] == 112

    asyncio.run(main())


def test_who_is_lost_is_told_apart_from_who_was_called(recording: Any, example: Any) -> None:
    async def main() -> None:
        session, link = recording(example())
        session.received(line("abandoned", id=1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert link.messages()[0]["error"] == {
            "code": -9,
            "message": "A process that abandoned asks went away before it answered: The connection was lost",
        }

    asyncio.run(main())


def test_of_a_change_it_is_said_that_its_outcome_is_unknown(recording: Any, example: Any) -> None:
    async def main() -> None:
        session, link = recording(example())
        session.received(line("abandoned_at_work", id=1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert link.messages()[0]["error"]["message"] == (
            "A process that abandoned_at_work asks went away before it answered: The connection was lost. "
            "Whether the command took effect is unknown."
        )

    asyncio.run(main())


def test_a_server_that_closes_turns_each_request_away(recording: Any, example: Any) -> None:
    async def main() -> None:
        session, link = recording(example())
        session._shared.closing = True
        away = {"code": -9, "message": "Shutting down"}
        session.received(line("getblockcount", id=1) + line("anote", ["x"]) + b"7\n")
        assert [message["error"] for message in link.messages()] == [away]
        session.received(b"[" + line("getblockcount", id=2).strip() + b"," + line("wait", id=3).strip() + b"]\n")
        ((first, second),) = link.messages()
        assert (first["id"], second["id"], first["error"], second["error"]) == (2, 3, away, away)

    asyncio.run(main())


def test_an_error_s_data_crosses(recording: Any, example: Any) -> None:
    async def main() -> None:
        session, link = recording(example())
        session.received(line("refuses", id=1))
        assert link.messages()[0]["error"] == {"code": -8, "message": "no", "data": {"why": 1}}

    asyncio.run(main())


@pytest.mark.parametrize(
    "text, code",
    [
        (b"nonsense", RpcCode.PARSE_ERROR),
        (b"\xff\xfe", RpcCode.PARSE_ERROR),
        (b'{"jsonrpc":"2.0","method":"getblockcount","id":"\xff"}', RpcCode.PARSE_ERROR),
        (b"[" * 200_000, RpcCode.PARSE_ERROR),
        (b'{"jsonrpc":"2.0","method":"getblockcount","id":1', RpcCode.PARSE_ERROR),
        (b"1", RpcCode.INVALID_REQUEST),
        (b"null", RpcCode.INVALID_REQUEST),
        (b"[]", RpcCode.INVALID_REQUEST),
        (b"{}", RpcCode.INVALID_REQUEST),
        (b'{"method":"getblockcount","id":1}', RpcCode.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","method":1,"id":1}', RpcCode.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","method":"getblockcount","params":1,"id":1}', RpcCode.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","method":"getblockcount","id":[]}', RpcCode.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","method":"getblockcount","id":true}', RpcCode.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","method":"getblockcount","id":1,"wallet":5}', RpcCode.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","method":"getblockcount","id":1,"object":"x"}', RpcCode.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","error":5,"id":1}', RpcCode.INVALID_REQUEST),
    ],
)
def test_what_is_no_request_gets_an_error_and_the_connection_closes(
    recording: Any, example: Any, text: bytes, code: int
) -> None:
    async def main() -> None:
        session, link = recording(example())
        session.received(text + b"\n" + line("getblockcount", id=2))
        (message,) = link.messages()
        assert code_of(message) == code and link.closed

    asyncio.run(main())


def test_blank_lines_are_passed_over(recording: Any, example: Any) -> None:
    async def main() -> None:
        session, link = recording(example())
        session.received(b"\n\r\n" + line("getblockcount", id=2))
        assert len(link.messages()) == 1 and not link.closed

    asyncio.run(main())


def test_a_line_over_the_limit_gets_an_error_and_the_connection_closes(recording: Any, example: Any) -> None:
    async def main() -> None:
        session, link = recording(example(), limit=1000)
        session.received(b"x" * 900)
        assert not link.closed and session._shared.held == 900
        session.received(b"x" * 200)
        (message,) = link.messages()
        assert code_of(message) == RpcCode.INVALID_REQUEST and link.closed
        session.received(b"x" * 2000)
        session.ended("gone")
        assert session._shared.held == 0

    asyncio.run(main())


def test_large_and_small_replies_keep_their_order(recording: Any, example: Any) -> None:
    async def main() -> None:
        session, link = recording(example())
        large = "x" * 200_000
        session.received(line("note", ["a"], id=1) + line("note", [large], id=2) + line("note", ["b"], id=3))
        assert [message["result"] for message in link.messages()] == ["a", large, "b"]

    asyncio.run(main())


def test_a_notification_is_not_answered(recording: Any, example: Any) -> None:
    async def main() -> None:
        commands = example()
        session, link = recording(commands)
        session.received(line("note", ["a"]) + line("nosuch") + line("broken") + line("anote", ["b"]))
        await settle()
        assert link.messages() == [] and commands.seen == ["a", "b"]

    asyncio.run(main())


def test_a_batch_is_served_in_order_and_each_member_answered_for_itself(recording: Any, example: Any) -> None:
    async def main() -> None:
        commands = example()
        session, link = recording(commands)
        batch = [
            {"jsonrpc": "2.0", "method": "anote", "params": ["first"], "id": 1},
            {"jsonrpc": "2.0", "method": "note", "params": ["second"], "id": 2},
            5,
            {"jsonrpc": "2.0", "method": "note", "params": ["silent"]},
            {"jsonrpc": "2.0", "method": "nosuch", "id": 3},
            {"jsonrpc": "2.0", "method": "anote", "params": ["last"], "id": 4},
            [],
        ]
        session.received(json.dumps(batch).encode() + b"\n")
        await settle()
        (answers,) = link.messages()
        assert [answer["id"] for answer in answers] == [1, 2, None, 3, 4, None]
        assert [answer.get("result") or answer["error"]["code"] for answer in answers] == [
            "first", "second", -32600, -32601, "last", -32600,
        ]  # fmt: skip
        assert commands.seen == ["first", "second", "silent", "last"]
        assert not link.closed

    asyncio.run(main())


@pytest.mark.parametrize("served", [False, True])
def test_no_batch_is_taken_of_a_process_of_ours(recording: Any, example: Any, served: bool) -> None:
    """Nor by who called it. None of ours sends one, and half a million small things in a line make a large answer."""

    async def main() -> None:
        session, link = recording(example())
        session._shared.batches = False
        if not served:
            session = Session(link)
        session.received(b"[" + b",".join([b"1"] * 400_000) + b"]\n")
        await settle()
        (told,) = link.messages()
        assert (code_of(told), told["id"]) == (RpcCode.INVALID_REQUEST, None)
        assert link.closed

    asyncio.run(main())


def test_answers_that_nobody_waits_for_are_told_of_once(recording: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The other side may send them without end, as long as it likes, and with what it likes in them."""

    async def main() -> None:
        session, _ = recording()
        told = json.dumps(
            {"jsonrpc": "2.0", "error": {"code": 1, "message": "\x1b[2K\nnow" + "x" * 10_000}, "id": None}
        )
        for _ in range(100):
            session.received(told.encode() + b"\n")

    with caplog.at_level(logging.INFO, logger="bitcoind_mp.ipc"):
        asyncio.run(main())
    (line,) = (text for text in caplog.messages if "the other side answered" in text)
    assert line.isprintable()
    assert len(line) < 300


def test_a_batch_of_notifications_is_not_answered(recording: Any, example: Any) -> None:
    async def main() -> None:
        session, link = recording(example())
        session.received(json.dumps([{"jsonrpc": "2.0", "method": "note", "params": ["x"]}]).encode() + b"\n")
        await settle()
        assert link.messages() == []

    asyncio.run(main())


def test_coroutines_run_side_by_side(recording: Any, example: Any) -> None:
    async def main() -> None:
        commands = example()
        session, link = recording(commands)
        session.received(line("wait", ["a"], id=1) + line("getblockcount", id=2))
        await settle()
        assert [message["id"] for message in link.messages()] == [2]
        commands.release.set()
        await settle()
        assert link.messages() == [{"jsonrpc": "2.0", "result": "a", "id": 1}]

    asyncio.run(main())


def test_the_wallet_and_progress_cross(recording: Any, example: Any, caplog: Any) -> None:
    async def main() -> None:
        session, link = recording(example())
        session.received(line("facts", {"name": "silent"}))
        session.received(line("facts", {"name": "y"}, id=9, wallet="alice"))
        await settle()
        assert link.messages() == [
            {"jsonrpc": "2.0", "method": "call.progress", "params": {"id": 9, "text": "half way"}},
            {"jsonrpc": "2.0", "result": ["facts", "alice", "y"], "id": 9},
        ]

    asyncio.run(main())
    assert caplog.records == []


def test_the_end_of_the_connection_cancels_what_has_not_committed(recording: Any, example: Any) -> None:
    async def main() -> None:
        commands = example()
        session, link = recording(commands)
        session.received(line("wait", ["a"], id=1) + line("commit", ["b"], id=2))
        await settle()
        session.ended("gone")
        await settle()
        assert commands.seen == ["cancelled a"]
        commands.release.set()
        await settle()
        assert commands.seen == ["cancelled a", "done b"]
        assert link.messages() == [] and session.closed.done()

    asyncio.run(main())


def test_in_a_batch_a_commit_holds_for_its_member_alone(recording: Any, example: Any) -> None:
    async def main() -> None:
        commands = example()
        session, _ = recording(commands)
        batch = [
            {"jsonrpc": "2.0", "method": "commit", "params": ["a"], "id": 1},
            {"jsonrpc": "2.0", "method": "note", "params": ["b"], "id": 2},
        ]
        session.received(json.dumps(batch).encode() + b"\n")
        await settle()
        session.ended("gone")
        commands.release.set()
        await settle()
        assert commands.seen == ["done a"]

    asyncio.run(main())


def test_after_a_member_that_committed_the_next_may_be_cancelled(recording: Any, example: Any) -> None:
    async def main() -> None:
        commands = example()
        session, _ = recording(commands)
        batch = [
            {"jsonrpc": "2.0", "method": "commit", "params": ["a"], "id": 1},
            {"jsonrpc": "2.0", "method": "wait", "params": ["b"], "id": 2},
        ]
        session.received(json.dumps(batch).encode() + b"\n")
        await settle()
        commands.release.set()
        commands.release.clear()
        await settle()
        assert commands.seen == ["done a"]
        session.ended("gone")
        await settle()
        assert commands.seen == ["done a", "cancelled b"]

    asyncio.run(main())


def test_a_caller_may_cancel_its_call(recording: Any, example: Any) -> None:
    async def main() -> None:
        commands = example()
        session, link = recording(commands)
        session.received(line("wait", ["a"], id=1) + line("commit", ["b"], id=2))
        await settle()
        session.received(line("rpc.cancel", {"id": 1}) + line("rpc.cancel", [2]))
        await settle()
        assert commands.seen == ["cancelled a"]
        assert [message["id"] for message in link.messages()] == [1]

    asyncio.run(main())


def test_thousands_in_a_row_are_taken_in_turns_and_all_answered(recording: Any, example: Any) -> None:
    async def main() -> None:
        session, link = recording(example())
        count = 20 * REQUESTS_A_TURN + 3
        session.received(b"".join(line("getblockcount", id=n) for n in range(count)))
        first = len(link.messages())
        assert first == REQUESTS_A_TURN
        answered = first
        while answered < count:
            await asyncio.sleep(0)
            answered += len(link.messages())
        assert answered == count and not link.reading_paused

    asyncio.run(main())


def test_no_more_than_so_many_calls_run_at_once(recording: Any, example: Any) -> None:
    async def main() -> None:
        commands = example()
        session, link = recording(commands)
        session.received(b"".join(line("wait", [str(n)], id=n) for n in range(MAX_RUNNING + 5)))
        await settle()
        assert len(session._serving._running) == MAX_RUNNING
        commands.release.set()
        await settle()
        assert len(link.messages()) == MAX_RUNNING + 5

    asyncio.run(main())


def test_while_the_reader_is_slow_nothing_is_taken_up_and_then_nothing_read(recording: Any, example: Any) -> None:
    async def main() -> None:
        session, link = recording(example())
        session.may_write(False)
        session.received(line("getblockcount", id=1))
        assert link.messages() == [] and not link.reading_paused
        session.received(line("note", ["x" * MAX_BACKLOG], id=2))
        assert link.messages() == [] and link.reading_paused
        session.may_write(True)
        await settle()
        assert [message["id"] for message in link.messages()] == [1, 2]
        assert not link.reading_paused

    asyncio.run(main())


def test_responses_are_taken_while_the_other_side_is_slow(recording: Any, example: Any) -> None:
    async def main() -> None:
        session, link = recording(example())
        call = asyncio.ensure_future(session.call("theirs"))
        await settle()
        (request,) = link.messages()
        session.may_write(False)
        session.received(line("getblockcount", id=1))
        session.received(json.dumps({"jsonrpc": "2.0", "result": 5, "id": request["id"]}).encode() + b"\n")
        assert await call == 5

    asyncio.run(main())


def test_a_side_that_stopped_sending_still_gets_its_answers(recording: Any, example: Any) -> None:
    async def main() -> None:
        commands = example()
        session, link = recording(commands)
        session.received(line("wait", ["a"], id=1))
        assert session.half_closed() and not link.closed
        commands.release.set()
        await settle()
        assert len(link.messages()) == 1 and link.closed
        other, _ = recording(commands)
        assert not other.half_closed()

    asyncio.run(main())


@pytest.mark.parametrize(
    "params",
    [
        ["the passphrase", 5],
        {"passphrase": "the passphrase", "timeout": 5},
        ["the passphrase"],
        ["the passphrase", 1, "the passphrase"],
        {"phrase": "the passphrase"},
    ],
)
def test_a_secret_reaches_no_log(recording: Any, example: Any, caplog: Any, params: Any) -> None:
    async def main() -> None:
        session, _ = recording(example())
        session.received(
            line("walletpassphrase", params, id=1) + line("importkeys", [["the passphrase"], "label"], id=2)
        )
        session.received(line("importkeys", {"keys": ["the passphrase"]}, id=2))
        await settle()

    with caplog.at_level(logging.DEBUG, logger="bitcoind_mp.ipc"):
        asyncio.run(main())
    assert "walletpassphrase" in caplog.text and "importkeys" in caplog.text
    assert "the passphrase" not in caplog.text


def test_the_debug_log_says_what_was_called_and_what_became_of_it(recording: Any, example: Any, caplog: Any) -> None:
    async def main() -> None:
        session, _ = recording(example())
        session.received(line("getblock", ["00" * 32], id=7) + line("no\nsuch", id=8) + line("anote", ["x"], id=9))
        await settle()

    with caplog.at_level(logging.DEBUG, logger="bitcoind_mp.ipc"):
        asyncio.run(main())
    served, unknown, later = (record.getMessage() for record in caplog.records)
    assert served.startswith("1 <- 7 getblock(['0000") and "ok, 0." in served
    assert r"'no\nsuch'" in unknown and "error -32601" in unknown
    assert later.startswith("1 <- 9 anote(['x']): ok")


def test_calls_that_wait_for_their_turn_are_dropped_with_the_connection(recording: Any, hello: Any) -> None:
    class Slow:
        def __init__(self) -> None:
            self.seen: list[int] = []

        @interface_method("slow.note")
        async def note(self, number: int) -> None:
            """Remember, and never end."""
            self.seen.append(number)
            await asyncio.Event().wait()

    async def main() -> None:
        session, _ = recording()
        session.peer = hello("node")
        slow = Slow()
        target = session.serve(slow)
        assert session.serve(slow) == target
        session.received(b"".join(line("slow.note", [n], id=n, object=target) for n in range(3)))
        await settle()
        assert slow.seen == [0]
        session.ended("gone")
        await settle()
        assert slow.seen == [0]

    asyncio.run(main())


# --- the calling side


def respond(session: Session, message: dict[str, Any]) -> None:
    session.received(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def test_answers_find_their_calls(recording: Any) -> None:
    async def main() -> None:
        session, link = recording()
        calls = [asyncio.ensure_future(session.call("m", [n], wallet="w")) for n in range(3)]
        await settle()
        requests = link.messages()
        assert requests[1]["params"] == [1] and requests[1]["wallet"] == "w"
        respond(session, {"id": requests[2]["id"], "result": "two"})
        respond(session, {"id": requests[0]["id"], "error": {"code": -8, "message": "no", "data": 5}})
        respond(session, {"id": requests[1]["id"], "result": None})
        respond(session, {"id": 999, "result": None})
        assert await calls[2] == "two" and await calls[1] is None
        with pytest.raises(RpcError) as caught:
            await calls[0]
        assert (caught.value.code, caught.value.message, caught.value.data) == (-8, "no", 5)
        assert not link.closed

    asyncio.run(main())


def test_a_call_that_is_cut_off_is_of_unknown_outcome(recording: Any) -> None:
    async def main() -> None:
        session, _ = recording()
        call = asyncio.ensure_future(session.call("m"))
        await settle()
        session.ended("The other side closed the connection")
        with pytest.raises(Disconnected, match="closed the connection"):
            await call
        with pytest.raises(Disconnected):
            await session.call("m")
        with pytest.raises(Disconnected):
            await session.notify("m")

    asyncio.run(main())


def test_the_deadline_and_a_cancelled_caller_cancel_there_too(recording: Any) -> None:
    async def main() -> None:
        session, link = recording()
        with pytest.raises(CallTimeout, match="slow was not answered within 0 s"):
            await session.call("slow", timeout=0)
        call = asyncio.ensure_future(session.call("long"))
        await settle()
        call.cancel()
        await settle()
        slow, cancel_slow, long, cancel_long = link.messages()
        assert cancel_slow == {"jsonrpc": "2.0", "method": "rpc.cancel", "params": {"id": slow["id"]}}
        assert cancel_long["params"] == {"id": long["id"]}
        respond(session, {"id": slow["id"], "result": 1})
        assert not link.closed

    asyncio.run(main())


def test_a_call_waits_while_the_other_side_does_not_read(recording: Any) -> None:
    async def main() -> None:
        session, link = recording()
        session.may_write(False)
        with pytest.raises(CallTimeout, match="does not read"):
            await session.call("m", timeout=0)
        call = asyncio.ensure_future(session.notify("n", ["x"]))
        await settle()
        assert link.messages() == []
        session.may_write(True)
        await call
        assert link.messages() == [{"jsonrpc": "2.0", "method": "n", "params": ["x"]}]

    asyncio.run(main())


def test_progress_reaches_its_call(serving: Any, example: Any) -> None:
    async def main() -> None:
        texts: list[str] = []
        async with serving(example()) as (_, session):
            assert await session.call("facts", progress=texts.append) == ["facts", None, "x"]
            assert await session.call("facts") == ["facts", None, "x"]
        assert texts == ["half way"]

    asyncio.run(main())


def test_a_parameter_named_twice_is_refused(recording: Any, example: Any) -> None:
    async def main() -> None:
        session, link = recording(example())
        session.received(b'{"jsonrpc":"2.0","id":1,"method":"getblock","params":{"verbosity":1,"verbosity":2}}\n')
        error = link.messages()[0]["error"]
        assert (error["code"], error["message"]) == (-8, "Parameter verbosity specified multiple times")

    asyncio.run(main())
