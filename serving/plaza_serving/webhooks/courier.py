"""The delivery job: what waits goes out, per target in order, with growing pauses after failures.

Each target is told one thing at a time: the next message waits until the one before is delivered or
given up, which happens after a day. Giving up ends the target too, with an audit row; so does its
own word that it is gone. At least once: a process that dies between answer and note sends again,
with the same `webhook-id`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from plaza_core.webhooks import Attempt, Message

AT_ONCE = 16
"""Targets that are spoken to at a time."""
IDLE_S = 2.0


class Outbox(Protocol):
    """Blocking and thread-safe; `plaza_tenancy.deliveries.Deliveries` is the real one."""

    def take(self, limit: int) -> Sequence[Message]:
        """What is due, at most one per target, reserved for a minute against other processes."""

    def note(self, message: Message, attempt: Attempt) -> None:
        """Delivered, or when to try again, or given up."""


class Send(Protocol):
    async def send(self, message: Message) -> Attempt: ...


class Courier:
    def __init__(self, outbox: Outbox, sender: Send) -> None:
        self._outbox = outbox
        self._sender = sender

    async def step(self) -> float:
        """Deliver what is due now; returns the seconds until the next look."""
        messages = await asyncio.to_thread(self._outbox.take, AT_ONCE)
        await asyncio.gather(*[self._deliver(message) for message in messages])
        return 0.0 if messages else IDLE_S

    async def _deliver(self, message: Message) -> None:
        attempt = await self._sender.send(message)
        await asyncio.to_thread(self._outbox.note, message, attempt)
