"""The kernel's thread: order, errors, cancellation, and what it says of itself."""

import asyncio
import threading

import pytest

from bitcoind_mp.node.chain.worker import KernelThread


def test_jobs_run_in_order_and_tell_the_loop_before_they_answer(run) -> None:
    async def body():
        worker = KernelThread(asyncio.get_running_loop())
        told: list[int] = []

        def job(number: int) -> int:
            worker.post(told.append, number)
            worker.post(told.append, -number)
            return number

        async def ask(number: int) -> None:
            assert await worker.run("count", lambda: job(number)) == number
            assert told[-1] == -number or told.index(-number) < len(told)
            assert -number in told

        await asyncio.gather(*(ask(number) for number in range(1, 30)))
        assert told == [sign * number for number in range(1, 30) for sign in (1, -1)]
        await worker.close()

    run(body())


def test_an_error_is_the_asker_s_and_the_thread_goes_on(run) -> None:
    async def body():
        worker = KernelThread(asyncio.get_running_loop())
        with pytest.raises(ZeroDivisionError):
            await worker.run("divide", lambda: 1 // 0)
        assert await worker.run("add", lambda: 1 + 1) == 2
        await worker.close()

    run(body())


def test_what_it_does_can_be_seen_and_what_waits_can_be_cancelled(run) -> None:
    async def body():
        worker = KernelThread(asyncio.get_running_loop())
        begun, may_end, done = threading.Event(), threading.Event(), []

        def long() -> str:
            begun.set()
            may_end.wait(10)
            done.append("long")
            return "ended"

        assert worker.idle and worker.busy is None
        first = asyncio.create_task(worker.run("a long call", long))
        await asyncio.to_thread(begun.wait, 10)
        assert not worker.idle
        assert worker.busy is not None and worker.busy[0] == "a long call"
        waiting = asyncio.create_task(worker.run("another", lambda: done.append("another")))
        await asyncio.sleep(0)
        waiting.cancel()
        first.cancel()
        await asyncio.gather(first, waiting, return_exceptions=True)
        may_end.set()
        assert await worker.run("the last", lambda: "here") == "here"
        assert done == ["long"], "what had begun went on to its end, what waited was never begun"
        assert worker.idle and worker.busy is None
        await worker.close()

    run(body())


def test_one_that_tells_something_is_busy_and_not_silent(run) -> None:
    async def body():
        worker = KernelThread(asyncio.get_running_loop())
        begun, told = asyncio.Event(), asyncio.Event()
        go_on, may_end = threading.Event(), threading.Event()

        def long() -> None:
            worker.post(begun.set)
            go_on.wait(10)
            worker.post(told.set)
            may_end.wait(10)

        assert worker.silent == 0
        call = asyncio.create_task(worker.run("process block", long))
        await begun.wait()
        go_on.set()
        await told.wait()
        assert worker.busy is not None
        seconds = worker.busy[1]
        assert 0 < worker.silent < seconds
        may_end.set()
        await call
        assert worker.silent == 0
        await worker.close()

    run(body())
