"""Progress as a port: recipes say what they do, the caller decides how it looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichBar

T = TypeVar("T")


class Progress(Protocol):
    def track(self, steps: Iterable[T], what: str, total: int) -> Iterator[T]:
        """Pass `steps` through and show how many of `total` are done."""

    def note(self, text: str) -> None:
        """One finished fact: a metric, a file."""


class Silent:
    """Says nothing: for tests and for callers that only want the result."""

    def track(self, steps: Iterable[T], what: str, total: int) -> Iterator[T]:
        yield from steps

    def note(self, text: str) -> None:
        return


class RichProgress:
    """A bar per phase on a terminal, plain lines elsewhere. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._bar = RichBar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )

    def __enter__(self) -> RichProgress:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def track(self, steps: Iterable[T], what: str, total: int) -> Iterator[T]:
        task: TaskID = self._bar.add_task(what, total=total)
        for step in steps:
            yield step
            self._bar.advance(task)

    def note(self, text: str) -> None:
        self._bar.console.print(text, highlight=False)
