"""Verbs about MLflow: importing what was logged there, and deciding what people propose there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from plaza._http import JSON_TYPE, Answer, Call, json_body, path_of
from plaza.records import Promotion, Registered, record

T = TypeVar("T")
Visibility = Literal["project", "organisation", "shared", "public"]
Which = Literal["open", "accepted", "rejected", "superseded", "withdrawn", "all"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """An alias that somebody moved in MLflow. `version` is what it should mean, `present` what it
    meant here; without a version it was deleted there (no `number`), or points at what the hub does
    not have (MLflow's `number`)."""

    id: str
    model: str
    name: str
    alias: str
    version: int | None
    number: int | None
    present: int | None
    state: str
    seen_unix_us: int
    decided_unix_us: int | None
    decided_by: str | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """`promotion` is None where an alias was taken away."""

    proposal: Proposal
    promotion: Promotion | None


def import_from_mlflow(
    source: str,
    *,
    name: str | None = None,
    project: str | None = None,
    visibility: Visibility | None = None,
    organisation: str | None = None,
) -> Call[Registered]:
    """Make what `mlflow.onnx.log_model` logged a version: `models:/NAME/VERSION`,
    `models:/NAME@ALIAS` or `runs:/RUN/PATH` in the MLflow that the hub is configured with.

    The same again answers with the version that exists.
    """
    body = {"source": source, "name": name, "project": project, "visibility": visibility}
    return _call("POST", "/imports", _one(Registered), organisation, body)


def list_proposals(
    *, state: Which = "open", organisation: str | None = None
) -> Call[list[Proposal]]:
    """Newest first."""
    params = {"state": state, "organisation": organisation}
    return Call("control", "GET", "/api/v1/proposals", _many(Proposal), params)


def accept_proposal(proposal: str, *, organisation: str | None = None) -> Call[Accepted]:
    """Promote what was proposed, with this key's rights. Waits for the replicas."""
    path = "/proposals" + path_of(proposal, "accept")
    return _call("POST", path, _accepted, organisation)


def reject_proposal(proposal: str, *, organisation: str | None = None) -> Call[Proposal]:
    """MLflow is told again what the alias means here."""
    path = "/proposals" + path_of(proposal, "reject")
    return _call("POST", path, _one(Proposal), organisation)


def _call(
    method: str,
    path: str,
    read: Callable[[Answer], T],
    organisation: str | None,
    body: Mapping[str, Any] | None = None,
) -> Call[T]:
    path, params = f"/api/v1{path}", {"organisation": organisation}
    if body is None:
        return Call("control", method, path, read, params)
    return Call("control", method, path, read, params, JSON_TYPE, json_body(body))


def _one(kind: type[T]) -> Callable[[Answer], T]:
    return lambda answer: record(kind, answer.json())


def _many(kind: type[T]) -> Callable[[Answer], list[T]]:
    return lambda answer: [record(kind, item) for item in answer.json()["items"]]


def _accepted(answer: Answer) -> Accepted:
    found = answer.json()
    moved = found["promotion"]
    promotion = None if moved is None else record(Promotion, moved)
    return Accepted(record(Proposal, found["proposal"]), promotion)
