"""Verbs about alerts: whom an organisation has told of its budgets, and where operators let it.

Check what arrives with any library of the Standard Webhooks specification and the secret that
`add` and `rotate` show once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from plaza._http import JSON_TYPE, Answer, Call, json_body, path_of
from plaza.records import record

T = TypeVar("T")
AlertEvent = Literal["budget.50", "budget.80", "budget.100", "rollout.stopped"]


@dataclass(frozen=True, slots=True)
class AlertTarget:
    """`failures`: failed attempts since the last success. A disabled target says why."""

    id: str
    url: str
    label: str
    events: list[str]
    active: bool
    failures: int
    disabled_because: str | None
    old_secret_until_unix_us: int | None
    created_unix_us: int


@dataclass(frozen=True, slots=True)
class NewAlertTarget:
    """`secret` (`whsec_…`) is told this once."""

    target: AlertTarget
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AlertDelivery:
    """A message to one target. `state` is `pending`, `delivered` or `given_up`."""

    id: str
    event: str
    state: str
    attempts: int
    created_unix_us: int
    next_unix_us: int | None
    ended_unix_us: int | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class AlertHost:
    """A host that alerts may go to; `private`: also when it is an address inside."""

    pattern: str
    private: bool


def list_alerts(organisation: str) -> Call[list[AlertTarget]]:
    """Oldest first, without secrets."""
    return _call("GET", _of(organisation), _many(AlertTarget))


def add_alert(
    organisation: str, url: str, *, events: Sequence[AlertEvent] | None = None, label: str = ""
) -> Call[NewAlertTarget]:
    """Have alerts sent to an https URL on a host that operators allow; default: budgets,
    not rollouts."""
    body = {"url": url, "label": label, "events": None if events is None else list(events)}
    return _call("POST", _of(organisation), _new, body)


def remove_alert(organisation: str, target: str) -> Call[None]:
    """What waits for it is dropped."""
    return _call("DELETE", _of(organisation, target), lambda _: None)


def rotate_alert(organisation: str, target: str) -> Call[NewAlertTarget]:
    """A new secret; for a day messages are signed by the old one too."""
    return _call("POST", _of(organisation, target, "rotate"), _new)


def enable_alert(organisation: str, target: str) -> Call[AlertTarget]:
    """Use a disabled target again, for what happens from now on."""
    return _call("POST", _of(organisation, target, "enable"), _one(AlertTarget))


def test_alert(organisation: str, target: str) -> Call[AlertDelivery]:
    """Put a test message on its way; `deliveries` tells what became of it."""
    return _call("POST", _of(organisation, target, "test"), _one(AlertDelivery))


def list_deliveries(organisation: str, target: str) -> Call[list[AlertDelivery]]:
    """The last hundred messages, newest first."""
    return _call("GET", _of(organisation, target, "deliveries"), _many(AlertDelivery))


def list_hosts() -> Call[list[AlertHost]]:
    """Where alerts may go. For operators."""
    return _call("GET", "/alert-hosts", _many(AlertHost))


def allow_host(pattern: str, *, private: bool = False) -> Call[AlertHost]:
    """`host` or `*.host`, with `:PORT` or `:*`; without a port 443. For operators."""
    body = {"pattern": pattern, "private": private}
    return _call("POST", "/alert-hosts", _one(AlertHost), body)


def disallow_host(pattern: str) -> Call[list[AlertHost]]:
    """From the next attempt on; answers with what is left. For operators."""
    return _call("DELETE", "/alert-hosts" + path_of(pattern), _many(AlertHost))


def _of(organisation: str, *more: str) -> str:
    return "/organisations" + path_of(organisation, "alerts", *more)


def _call(
    method: str, path: str, read: Callable[[Answer], T], body: Mapping[str, Any] | None = None
) -> Call[T]:
    path = f"/api/v1{path}"
    if body is None:
        return Call("control", method, path, read)
    return Call("control", method, path, read, {}, JSON_TYPE, json_body(body))


def _one(kind: type[T]) -> Callable[[Answer], T]:
    return lambda answer: record(kind, answer.json())


def _many(kind: type[T]) -> Callable[[Answer], list[T]]:
    return lambda answer: [record(kind, item) for item in answer.json()["items"]]


def _new(answer: Answer) -> NewAlertTarget:
    found = answer.json()
    return NewAlertTarget(record(AlertTarget, found["webhook"]), found["secret"])
