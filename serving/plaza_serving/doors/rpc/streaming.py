"""A stream of requests and one of answers: computed at the same time, answered in the order asked.

At most `MOST` requests of a stream are in the house; the next is read when the oldest is answered,
so that a client that does not read its answers stops sending too (the transport's flow control).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc.aio

from plaza_serving.doors.rpc.asked import Context

MOST = 64


async def in_order(context: Context, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
    """Until the client has said that no more comes and all is answered.

    `answer` raises for nothing that a request did. When the client leaves, what has not been
    answered is cancelled.
    """
    waiting: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue()
    room = asyncio.Semaphore(MOST)
    async with asyncio.TaskGroup() as group:

        async def read() -> None:
            while True:
                await room.acquire()
                data = await context.read()
                if data is grpc.aio.EOF:
                    waiting.put_nowait(None)
                    return
                waiting.put_nowait(group.create_task(_run(answer, data)))

        group.create_task(read())
        while (task := await waiting.get()) is not None:
            await context.write(await task)
            room.release()


async def _run(answer: Callable[[bytes], Awaitable[bytes]], data: bytes) -> bytes:
    return await answer(data)
