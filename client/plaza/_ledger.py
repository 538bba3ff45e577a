"""Verbs of the books: statements, verification, corrections, projections, retention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from plaza._http import JSON_TYPE, Answer, Call, Param, json_body, path_of
from plaza.records import record

T = TypeVar("T")
Format = Literal["json", "csv"]


@dataclass(frozen=True, slots=True)
class Chain:
    """What verifying one organisation's chain found. `links` batches or audit rows fit; `broken` is
    the first that does not. `digest` is the head's: keep it, to compare later."""

    organisation: str
    links: int
    anchor: int
    sequence: int
    digest: str
    broken: int | None = None
    why: str | None = None

    @property
    def intact(self) -> bool:
        return self.broken is None


@dataclass(frozen=True, slots=True)
class Correction:
    """`charge` is signed, in compute units; `id` is how statements name it."""

    id: str
    charge: int
    reason: str
    actor: str
    refers: str | None
    at_unix_us: int
    project: str | None
    key: str
    model: str


@dataclass(frozen=True, slots=True)
class Drift:
    """One group of an hour whose stored sums differ from its rows: stored − rows."""

    organisation: str
    hour_unix_us: int
    project: str | None
    key: str
    model: str
    version: int
    provider: str
    requests: int
    answered: int
    rows: int
    compute_us: int
    host_us: int
    charge: int
    overrun: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """What retention took from one organisation's books; the chain begins after `anchor` now."""

    organisation: str
    batches: int
    entries: int
    anchor: int


def statement(organisation: str, period: str, *, format: Format = "json") -> Call[bytes]:
    """A month's books, such as of `2026-11`, as one document; `save_statement` for large ones."""
    return Call("control", "GET", _path(organisation, period), _content, {"format": format})


def save_statement(
    organisation: str, period: str, path: str | Path, *, format: Format = "json"
) -> Call[None]:
    """Write a month's books into a file while they arrive. The file is replaced when all is there;
    a statement that breaks off leaves it as it was."""
    where, params = _path(organisation, period), {"format": format}
    return Call("control", "GET", where, lambda _: None, params, save=Path(path))


def verify(*, organisation: str | None = None) -> Call[list[Chain]]:
    """Recompute the books: one chain per organisation. `*` verifies all of them, for operators."""
    return _call("GET", "/usage/verify", _many(Chain), organisation=organisation)


def verify_audit(*, organisation: str | None = None) -> Call[list[Chain]]:
    """Recompute the audit trails."""
    return _call("GET", "/audit/verify", _many(Chain), organisation=organisation)


def correct(
    organisation: str,
    charge: int,
    reason: str,
    *,
    request: str | None = None,
    key: str | None = None,
    project: str | None = None,
    model: str | None = None,
    period: str | None = None,
) -> Call[Correction]:
    """Add a signed amount of compute units to the books, about a request, or about a key, project
    or model (its id) and a month. For operators."""
    body = {
        "charge": charge,
        "reason": reason,
        "request": request,
        "key": key,
        "project": project,
        "model": model,
        "period": period,
    }
    path = "/api/v1/organisations" + path_of(organisation, "corrections")
    return Call("control", "POST", path, _correction, {}, JSON_TYPE, json_body(body))


def drift() -> Call[list[Drift]]:
    """Hours whose sums differ from their rows: none, or something is wrong. For operators."""
    return _call("GET", "/usage/drift", _many(Drift))


def rebuild() -> Call[list[Drift]]:
    """Make drifted sums anew from the rows; answers with what differed. For operators."""
    return _call("POST", "/usage/rebuild", _many(Drift))


def drop_before(period: str) -> Call[list[Dropped]]:
    """Drop the rows of all months before this one, for good; sums stay. For operators."""
    body = json_body({"before": period})
    return Call("control", "POST", "/api/v1/usage/drop", _many(Dropped), {}, JSON_TYPE, body)


def _call(method: str, path: str, read: Callable[[Answer], T], **params: Param) -> Call[T]:
    return Call("control", method, f"/api/v1{path}", read, params)


def _path(organisation: str, period: str) -> str:
    return "/api/v1/organisations" + path_of(organisation, "statements", period)


def _content(answer: Answer) -> bytes:
    return answer.content


def _correction(answer: Answer) -> Correction:
    return record(Correction, answer.json())


def _many(kind: type[T]) -> Callable[[Answer], list[T]]:
    return lambda answer: [record(kind, item) for item in answer.json()["items"]]
