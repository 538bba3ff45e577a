"""Jobs go on whatever happens to them; log lines hold frames but no words of strangers."""

import asyncio
import json
import logging
from contextlib import nullcontext

import pytest

from plaza_core.errors import Unavailable
from plaza_serving.control.jobs import Drain, every, forever, in_turn, slower
from plaza_serving.control.logs import JsonLines


async def waits(steps):
    """Run a job whose steps have these results (exceptions are raised) to the end of them; returns
    how long it slept between them."""
    results = iter(steps)
    slept = []

    async def step():
        for result in results:
            if isinstance(result, Exception):
                raise result
            return result
        raise asyncio.CancelledError

    async def sleep(seconds):
        slept.append(seconds)

    with pytest.raises(asyncio.CancelledError):
        await forever("test", step, sleep)
    return slept


async def test_a_step_says_when_the_next_one_is():
    assert await waits([1, 5, 1]) == [1, 5, 1]


async def test_failures_slow_a_job_down_and_success_resets_it():
    bug = ValueError("x")
    assert await waits([bug, bug, Unavailable("away"), 7, bug]) == [1, 2, 4, 7, 1]


def test_it_never_slows_down_for_good():
    assert [slower(n) for n in (1, 5, 6, 50)] == [1, 16, 30, 30]


async def test_blocking_work_is_done_on_a_thread():
    import threading

    seen = []
    assert await every(3, lambda: seen.append(threading.current_thread()))() == 3
    assert seen[0] is not threading.current_thread()


async def test_the_outbox_is_tried_more_slowly_while_the_tracker_is_away():
    answers = iter([False, False, True, False])
    drain = Drain(lambda: next(answers), 1.0)
    assert [await drain.step() for _ in range(4)] == [1, 2, 1, 1]


async def test_what_another_process_is_at_is_left_out():
    done = []
    turns = iter([False, True])
    step = every(3, in_turn(lambda: nullcontext(next(turns)), lambda: done.append(1)))
    assert [await step() for _ in range(2)] == [3, 3]
    assert done == [1]


def formatted(record):
    return json.loads(JsonLines().format(record))


def test_a_line_holds_the_events_own_facts():
    record = logging.makeLogRecord({"msg": "request", "name": "x", "status": 200})
    line = formatted(record)
    assert (line["message"], line["status"], line["logger"]) == ("request", 200, "x")
    assert line["at"].endswith("+00:00")


def test_an_exception_is_told_without_its_words():
    try:
        json.loads("secret")
    except ValueError as error:
        info = (type(error), ValueError("what a client sent"), error.__traceback__)
    line = formatted(logging.makeLogRecord({"msg": "failed", "exc_info": info}))
    assert line["exception"] == "JSONDecodeError"
    assert "test_jobs.py" in line["frames"][0]
    assert "what a client sent" not in json.dumps(line)


def test_a_line_break_in_a_message_stays_one_line():
    assert "\n" not in JsonLines().format(logging.makeLogRecord({"msg": "a\nb"}))
