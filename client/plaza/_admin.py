"""Verbs of control's admin API.

`organisation` names the one to act for, which only an operator's key may do; left out, it is the
key's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from plaza._http import (
    JSON_TYPE,
    Answer,
    Call,
    FileBody,
    Param,
    Steps,
    json_body,
    path_of,
)
from plaza.errors import PlazaError
from plaza.records import (
    AuditEntry,
    Key,
    Model,
    NewKey,
    Organisation,
    Project,
    Registered,
    Status,
    Usage,
    Version,
    WhoAmI,
    record,
)

T = TypeVar("T")
Visibility = Literal["project", "organisation", "shared", "public"]
Role = Literal["admin", "engineer", "consumer", "auditor"]
Dimension = Literal["organisation", "project", "key", "model", "provider", "hour", "day", "month"]
Progress = Callable[[str, int, int], None]
"""Called with a file's path in the bundle, its bytes sent so far, and its size."""


def _call(
    method: str,
    path: str,
    read: Callable[[Answer], T],
    *,
    body: Mapping[str, Any] | None = None,
    nulls: Collection[str] = (),
    **params: Param,
) -> Call[T]:
    path = f"/api/v1{path}"
    if body is None:
        return Call("control", method, path, read, params)
    return Call("control", method, path, read, params, JSON_TYPE, json_body(body, nulls))


def _one(kind: type[T]) -> Callable[[Answer], T]:
    return lambda answer: record(kind, answer.json())


def _many(kind: type[T]) -> Callable[[Answer], list[T]]:
    return lambda answer: [record(kind, item) for item in answer.json()["items"]]


# ── models ───────────────────────────────────────────────────────────────────────────────────────
def register(
    directory: str | Path,
    *,
    name: str | None = None,
    project: str | None = None,
    visibility: Visibility | None = None,
    run: str | None = None,
    experiment: str | None = None,
    organisation: str | None = None,
    progress: Progress | None = None,
) -> Steps[Registered]:
    """Send the bundle in `directory` file by file, streaming from disk, and make it a version.

    `name` defaults to the manifest's, `project` to the key's; `visibility` stays as it is, and a
    new model is for its project. `run` is the run of MLflow that
    trained it; MLflow then leads from one to the other. Registering the same content again answers
    with the version that exists. An upload that fails is aborted, also when the hub did not
    receive a file as it was sent.
    """
    root = Path(directory)
    files = bundle_files(root)
    upload = yield _call(
        "POST", "/uploads", lambda answer: answer.json()["upload"], organisation=organisation
    )
    here = "/uploads" + path_of(upload)
    try:
        for file in files:
            yield _send_file(here, root, file, organisation, progress)
        choice = {"name": name, "project": project, "visibility": visibility}
        choice |= {"run": run, "experiment": experiment}
        done: Registered = yield _call(
            "POST", f"{here}/commit", _one(Registered), body=choice, organisation=organisation
        )
    except (PlazaError, OSError) as error:
        yield from _abort(here, organisation)
        raise error from None
    return done


def bundle_files(root: Path) -> list[Path]:
    """What `register` sends: the files of `root` and of its directories, but no hidden ones.

    Raises FileNotFoundError when `root` is no directory. The hub decides what may be in a bundle.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"no such directory: {root}")
    found = (path for path in root.rglob("*") if path.is_file())
    return sorted(p for p in found if not any(s.startswith(".") for s in p.relative_to(root).parts))


def _send_file(
    here: str, root: Path, file: Path, organisation: str | None, progress: Progress | None
) -> Call[None]:
    path, size, sent = file.relative_to(root).as_posix(), file.stat().st_size, 0
    digest = hashlib.sha256()

    def on_begin() -> None:
        nonlocal sent, digest
        sent, digest = 0, hashlib.sha256()

    def on_chunk(chunk: bytes) -> None:
        nonlocal sent
        sent += len(chunk)
        digest.update(chunk)
        if progress is not None:
            progress(path, sent, size)

    def check(answer: Answer) -> None:
        if answer.json()["sha256"] != digest.hexdigest():
            raise PlazaError(
                "damaged_upload", "the file was damaged on its way; register again", input=path
            )

    return Call(
        "control",
        "PUT",
        f"/api/v1{here}/files" + path_of(*path.split("/")),
        check,
        params={"organisation": organisation},
        headers={"content-type": "application/octet-stream"},
        content=FileBody(file, on_chunk, on_begin),
    )


def _abort(here: str, organisation: str | None) -> Generator[Call[Any], Any, None]:
    try:
        yield _call("DELETE", here, lambda _: None, organisation=organisation)
    except PlazaError:
        return  # it is gone already, or expires by itself; the first error is the one to tell


def list_models(*, organisation: str | None = None) -> Call[list[Model]]:
    """Every model that the key may call, its own first."""
    return _call("GET", "/models", _many(Model), organisation=organisation)


def show_model(name: str, *, organisation: str | None = None) -> Call[Model]:
    """`name` is `model`, `project.model` or `organisation.project.model`."""
    return _call("GET", "/models" + path_of(name), _one(Model), organisation=organisation)


def list_versions(name: str, *, organisation: str | None = None) -> Call[list[Version]]:
    """Newest first, with their cards."""
    path = "/models" + path_of(name, "versions")
    return _call("GET", path, _many(Version), organisation=organisation)


# ── tenants ──────────────────────────────────────────────────────────────────────────────────────
def whoami() -> Call[WhoAmI]:
    """Whose key this is and what it may do."""
    return _call("GET", "/whoami", _one(WhoAmI))


def create_organisation(name: str, *, title: str = "") -> Call[Organisation]:
    """For operators."""
    body = {"name": name, "title": title}
    return _call("POST", "/organisations", _one(Organisation), body=body)


def list_organisations() -> Call[list[Organisation]]:
    """Operators see all of them, everybody else their own."""
    return _call("GET", "/organisations", _many(Organisation))


def show_organisation(name: str) -> Call[Organisation]:
    return _call("GET", "/organisations" + path_of(name), _one(Organisation))


def suspend_organisation(name: str) -> Call[Organisation]:
    """Its keys stop working until it is resumed. For operators."""
    return _change(name, {"suspended": True})


def resume_organisation(name: str) -> Call[Organisation]:
    return _change(name, {"suspended": False})


def limit_organisation(name: str, *, per_second: float, burst: int) -> Call[Organisation]:
    """Sustained requests per second and how many may arrive at once. For operators."""
    return _change(name, {"rate": {"per_second": per_second, "burst": burst}})


def _change(name: str, body: Mapping[str, Any]) -> Call[Organisation]:
    return _call("PATCH", "/organisations" + path_of(name), _one(Organisation), body=body)


def create_project(organisation: str, name: str) -> Call[Project]:
    path = "/organisations" + path_of(organisation, "projects")
    return _call("POST", path, _one(Project), body={"name": name})


def list_projects(organisation: str) -> Call[list[Project]]:
    return _call("GET", "/organisations" + path_of(organisation, "projects"), _many(Project))


def create_key(
    organisation: str,
    *,
    role: Role,
    project: str | None = None,
    label: str = "",
    expires_in_s: int | None = None,
    rate: tuple[float, int] | None = None,
) -> Call[NewKey]:
    """A new key; its text is in the answer and nowhere else. `rate` is (per second, burst)."""
    body = {
        "role": role,
        "project": project,
        "label": label,
        "expires_in_s": expires_in_s,
        "rate": None if rate is None else {"per_second": rate[0], "burst": rate[1]},
    }
    path = "/organisations" + path_of(organisation, "keys")
    return _call("POST", path, _one(NewKey), body=body)


def list_keys(organisation: str) -> Call[list[Key]]:
    """Newest first, revoked and expired ones included."""
    return _call("GET", "/organisations" + path_of(organisation, "keys"), _many(Key))


def revoke_key(organisation: str, key: str) -> Call[None]:
    """For good, on every replica at its next poll. Revoking twice changes nothing."""
    path = "/organisations" + path_of(organisation, "keys", key)
    return _call("DELETE", path, lambda _: None)


# ── reports ──────────────────────────────────────────────────────────────────────────────────────
def usage(
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    by: Dimension | Sequence[Dimension] = "model",
    organisation: str | None = None,
) -> Call[list[Usage]]:
    """Sums over the ledger for since ≤ time < until (with a time zone); default: the last day."""
    return _call(
        "GET",
        "/usage",
        _many(Usage),
        since=_moment(since),
        until=_moment(until),
        by=[by] if isinstance(by, str) else list(by),
        organisation=organisation,
    )


def audit(
    *, before: int | None = None, limit: int = 100, organisation: str | None = None
) -> Call[list[AuditEntry]]:
    """Administrative changes, newest first; `before` an entry's id gives the page after it."""
    read = _many(AuditEntry)
    return _call("GET", "/audit", read, before=before, limit=limit, organisation=organisation)


def status() -> Call[Status]:
    """Pools, replicas and what waits. For operators."""
    return _call("GET", "/status", _one(Status))


def _moment(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone, such as datetime.UTC")
    return moment.isoformat()
