"""Waiting for what happens to processes: a death, an answer, a long silence."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from plaza_core.clock import Clock
from plaza_serving.supervisor.process import Identity

Probe = Callable[[], Awaitable[bool]]
"""One quick question; does not raise."""
_T = TypeVar("_T")
_ASK_S = 0.2
_LISTEN_S = 10.0
_QUESTIONS = 6
"""So many are asked in vain before somebody is deaf."""


async def gone(identity: Identity) -> None:
    """Returns at the moment the process dies, by its pidfd."""
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    dead = asyncio.Event()
    try:
        loop.add_reader(handle, dead.set)
        if identity.alive():
            await dead.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


async def answers(probe: Probe) -> None:
    """Returns at the first success."""
    while not await probe():  # noqa: ASYNC110 what is asked is another process
        await asyncio.sleep(_ASK_S)


async def deaf(probe: Probe, after_s: float, clock: Clock) -> None:
    """Returns when no probe succeeded for `after_s`."""
    heard = clock.monotonic_ns()
    while clock.monotonic_ns() - heard < after_s * 1e9:
        await asyncio.sleep(min(_LISTEN_S, after_s / _QUESTIONS))
        if await probe():
            heard = clock.monotonic_ns()


async def first(*waits: Coroutine[Any, Any, _T]) -> _T:
    """The result of whichever ends first; the others are cancelled."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
