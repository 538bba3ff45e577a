"""Waiting for what a hub does in its own time: asked again until it is so, or the limit is over."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

_EVERY_S = 0.1


def reached(condition: Callable[[], bool], within_s: float) -> bool:
    """Whether the condition came to hold."""
    give_up = time.monotonic() + within_s
    while not (holds := condition()) and time.monotonic() < give_up:
        time.sleep(_EVERY_S)
    return holds


def until_ok(ask: Callable[[], httpx.Response], within_s: float) -> None:
    """Until the answer is 200: replicas hear of a model a moment after it was registered. Raises
    TimeoutError with the last answer."""
    give_up = time.monotonic() + within_s
    while (answer := ask()).status_code != httpx.codes.OK:
        if time.monotonic() > give_up:
            raise TimeoutError(f"{answer.url.path}: {answer.status_code} {answer.text}")
        time.sleep(_EVERY_S)
