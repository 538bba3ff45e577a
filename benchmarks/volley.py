"""Requests at once, each on a connection opened before, and requests in a row.

A closed loop of few clients never finds what only happens when everybody comes in the same moment.
HTTP/1.1 has one request per connection in flight, so a thousand at once are a thousand connections.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer: its status, its headers by lower-case name, its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """`ok`, else the hub's error code; the status where an answer names none."""
        if self.status == 200:
            return "ok"
        try:
            return str(json.loads(self.body)["code"])
        except (ValueError, KeyError, TypeError):
            return str(self.status)


def request_bytes(path: str, key: str, body: bytes) -> bytes:
    """One POST of a JSON body, ready to be sent."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def volley(port: int, request: bytes, count: int) -> list[Answer]:
    """Send `request` on `count` connections of its own each; all answers.

    Raises TimeoutError, and OSError or EOFError for a connection that ends before its answer.
    """
    return asyncio.run(_volley(port, request, count))


def row(port: int, request: bytes, count: int, *, pause_s: float) -> list[Answer]:
    """Send `request` so many times on one connection, each after the answer before and a pause."""
    return asyncio.run(_row(port, request, count, pause_s))


async def _row(port: int, request: bytes, count: int, pause_s: float) -> list[Answer]:
    async with asyncio.timeout(_PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answers = []
        try:
            for _ in range(count):
                writer.write(request)
                answers.append(await _answer(reader))
                await asyncio.sleep(pause_s)
        finally:
            writer.close()
        return answers


async def _volley(port: int, request: bytes, count: int) -> list[Answer]:
    async with asyncio.timeout(_PATIENCE_S):
        opened = [asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
        connections = await asyncio.gather(*opened)
        try:
            for _, writer in connections:
                writer.write(request)
            return await asyncio.gather(*(_answer(reader) for reader, _ in connections))
        finally:
            for _, writer in connections:
                writer.close()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    lines = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in lines}
    body = await reader.readexactly(int(headers["content-length"]))
    return Answer(int(head[0].split(" ", 2)[1]), headers, body)
