"""Verbs about what becomes of models: versions, aliases, rollouts, the catalogue.

`name` is `model`, `project.model` or `organisation.project.model`; `organisation` names the one to
act for, which only an operator's key may do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from plaza._admin import Visibility, _call, _many, _one
from plaza._http import Answer, Call, path_of
from plaza.records import Model, Promotion, Version, record
from plaza.records_models import (
    AliasStep,
    Collected,
    Found,
    FoundPage,
    Guest,
    ModelDiff,
    PublicationState,
    PublishRequest,
    Rollout,
)

RequestState = Literal["pending", "approved", "rejected", "dropped"]


def _path(name: str, *more: str | int) -> str:
    return "/models" + path_of(name, *more)


# ── versions ─────────────────────────────────────────────────────────────────────────────────────
def stage(name: str, version: int, *, organisation: str | None = None) -> Call[Version]:
    """Have replicas open a version now and keep it warm."""
    return _mark("stage", name, version, organisation)


def unstage(name: str, version: int, *, organisation: str | None = None) -> Call[Version]:
    """Let it be opened on its first use again."""
    return _mark("unstage", name, version, organisation)


def retire(name: str, version: int, *, organisation: str | None = None) -> Call[Version]:
    """Nobody calls it any more. Raises PlazaError `conflict` while an alias gives it traffic."""
    return _mark("retire", name, version, organisation)


def restore(name: str, version: int, *, organisation: str | None = None) -> Call[Version]:
    """Undo `retire`."""
    return _mark("restore", name, version, organisation)


def withdraw(
    name: str, version: int, *, why: str = "", organisation: str | None = None
) -> Call[Version]:
    """Its examination counts no more: nobody may call it until it is examined again."""
    return _mark("withdraw", name, version, organisation, {"why": why})


def examine(name: str, version: int, *, organisation: str | None = None) -> Call[Version]:
    """Open it in the sandbox again."""
    return _mark("examine", name, version, organisation)


def _mark(
    verb: str,
    name: str,
    version: int,
    organisation: str | None,
    body: Mapping[str, Any] | None = None,
) -> Call[Version]:
    path = _path(name, "versions", version, verb)
    return _call("POST", path, _one(Version), body=body, organisation=organisation)


def diff(
    name: str,
    before: int | str,
    after: int | str,
    *,
    other: str | None = None,
    organisation: str | None = None,
) -> Call[ModelDiff]:
    """Compare two versions, by number or alias; `after` may be one of the model `other`."""
    return _call(
        "GET",
        _path(name, "diff"),
        _one(ModelDiff),
        before=before,
        after=after,
        other=other,
        organisation=organisation,
    )


def gc(
    *, older_than_days: int | None = None, remove: bool = False, organisation: str | None = None
) -> Call[Collected]:
    """Retired versions whose time is over: list them, or with `remove` clear them away for good."""
    method = "DELETE" if remove else "GET"
    return _call(
        method,
        "/retired",
        _one(Collected),
        older_than_days=older_than_days,
        organisation=organisation,
    )


# ── aliases ──────────────────────────────────────────────────────────────────────────────────────
def promote(
    name: str,
    version: int,
    *,
    alias: str = "champion",
    canary_percent: float | None = None,
    shadow_percent: float | None = None,
    policy: Mapping[str, float] | None = None,
    why: str | None = None,
    force: bool | None = None,
    allow_breaking: bool | None = None,
    organisation: str | None = None,
) -> Call[Promotion]:
    """Point `alias` at a version and wait for the replicas; or, with `canary_percent` or
    `shadow_percent`, begin a rollout on that part of its requests.

    Raises PlazaError: `conflict` while a rollout runs (`force` cancels it), `breaking_change`
    where callers would break (`allow_breaking`), `does_not_fit`.
    """
    body = {
        "version": version,
        "canary_percent": canary_percent,
        "shadow_percent": shadow_percent,
        "policy": policy,
        "why": why,
        "force": force,
        "allow_breaking": allow_breaking,
    }
    path = _path(name, "aliases", alias)
    return _call("PUT", path, _one(Promotion), body=body, organisation=organisation)


def rollback(
    name: str, *, alias: str = "champion", why: str = "", organisation: str | None = None
) -> Call[Promotion]:
    """One step back in the alias's history, and wait for the replicas. Again: another step."""
    path = _path(name, "aliases", alias, "rollback")
    return _call("POST", path, _one(Promotion), body={"why": why}, organisation=organisation)


def remove_alias(
    name: str, alias: str, *, force: bool = False, organisation: str | None = None
) -> Call[None]:
    """Calls by it are refused from then on; `rollback` brings it back."""
    forced = "true" if force else None
    path = _path(name, "aliases", alias)
    return _call("DELETE", path, lambda _: None, force=forced, organisation=organisation)


def history(
    name: str, *, alias: str = "champion", organisation: str | None = None
) -> Call[list[AliasStep]]:
    """Newest first: who moved the alias where, when and why."""
    path = _path(name, "aliases", alias, "history")
    return _call("GET", path, _many(AliasStep), organisation=organisation)


# ── rollouts ─────────────────────────────────────────────────────────────────────────────────────
def list_rollouts(
    model: str | None = None, *, organisation: str | None = None
) -> Call[list[Rollout]]:
    """Of one model or of all of the organisation's own, newest first."""
    return _call("GET", "/rollouts", _many(Rollout), model=model, organisation=organisation)


def show_rollout(rollout: str, *, organisation: str | None = None) -> Call[Rollout]:
    """With the tests of the gate and their numbers."""
    return _call("GET", _rollout(rollout), _one(Rollout), organisation=organisation)


def cancel_rollout(rollout: str, *, organisation: str | None = None) -> Call[Rollout]:
    """The stable version answers all requests again."""
    return _call("POST", _rollout(rollout, "cancel"), _one(Rollout), organisation=organisation)


def promote_rollout(rollout: str, *, organisation: str | None = None) -> Call[Rollout]:
    """Its candidate becomes the stable version."""
    return _call("POST", _rollout(rollout, "promote"), _one(Rollout), organisation=organisation)


def _rollout(rollout: str, *more: str) -> str:
    return "/rollouts" + path_of(rollout, *more)


# ── the catalogue ────────────────────────────────────────────────────────────────────────────────
def search(
    query: str = "",
    *,
    family: str | None = None,
    tags: Sequence[str] = (),
    visibility: Visibility | None = None,
    publisher: str | None = None,
    after: str | None = None,
    limit: int = 50,
    organisation: str | None = None,
) -> Call[FoundPage]:
    """Models that the key may call, by words of name, tags, family and card; its own first."""
    return _call(
        "GET",
        "/catalogue",
        _found,
        q=query or None,
        family=family,
        tag=list(tags) or None,
        visibility=visibility,
        publisher=publisher,
        after=after,
        limit=limit,
        organisation=organisation,
    )


def _found(answer: Answer) -> FoundPage:
    page = answer.json()
    return FoundPage([record(Found, item) for item in page["items"]], page["next"])


def tag(
    name: str,
    *,
    add: Sequence[str] = (),
    remove: Sequence[str] = (),
    organisation: str | None = None,
) -> Call[list[str]]:
    """The tags that the model then has."""
    body = {"add": list(add), "remove": list(remove)}
    path = _path(name, "tags")
    return _call("PATCH", path, _tags, body=body, organisation=organisation)


def _tags(answer: Answer) -> list[str]:
    return list(answer.json()["tags"])


def set_visibility(
    name: str, visibility: Visibility, *, organisation: str | None = None
) -> Call[Model]:
    """Who may call it. `public` is for operators: others `publish`."""
    body = {"visibility": visibility}
    path = _path(name, "visibility")
    return _call("PUT", path, _one(Model), body=body, organisation=organisation)


def share(name: str, guests: Sequence[str], *, organisation: str | None = None) -> Call[Model]:
    """Let other organisations, by their names, call the model too."""
    body = {"organisations": list(guests)}
    return _call("POST", _path(name, "guests"), _one(Model), body=body, organisation=organisation)


def unshare(name: str, guest: str, *, organisation: str | None = None) -> Call[Model]:
    return _call("DELETE", _path(name, "guests", guest), _one(Model), organisation=organisation)


def guests(name: str, *, organisation: str | None = None) -> Call[list[Guest]]:
    """Whom the model is shared with."""
    return _call("GET", _path(name, "guests"), _many(Guest), organisation=organisation)


def publish(
    name: str, *, note: str = "", organisation: str | None = None
) -> Call[PublicationState]:
    """Ask operators to make the model public; an operator who asks has decided."""
    body = {"note": note}
    path = _path(name, "publish")
    return _call("POST", path, _one(PublicationState), body=body, organisation=organisation)


def list_requests(
    state: RequestState = "pending", *, organisation: str | None = None
) -> Call[list[PublishRequest]]:
    """Operators see everybody's, others their own organisation's."""
    path = "/catalogue/requests"
    return _call("GET", path, _many(PublishRequest), state=state, organisation=organisation)


def approve(request: str) -> Call[PublishRequest]:
    """For operators: the model is public from here on."""
    return _call("POST", _request(request, "approve"), _one(PublishRequest))


def reject(request: str, reason: str) -> Call[PublishRequest]:
    """For operators."""
    body = {"reason": reason}
    return _call("POST", _request(request, "reject"), _one(PublishRequest), body=body)


def _request(request: str, verb: str) -> str:
    return "/catalogue/requests" + path_of(request, verb)
