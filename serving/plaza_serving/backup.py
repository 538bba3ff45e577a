"""Backup and restore of one installation with embedded stores, as one file.

    FILE (tar)  manifest.json   format, moment, sha256 and size of everything below
                plaza.db        one consistent state; mlflow.db beside it when that is embedded
                blobs/SHA256    every file of every bundle
                secrets/NAME    pepper and tokens; admin.key beside them
                spool/NAME.log  usage that was acknowledged and not yet in the ledger

The file opens the hub to whoever has it: it is written with mode 0600. Spools are copied before
the database, so that a line shipped meanwhile is in one of them; being in both changes nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from plaza_core.clock import Clock
from plaza_core.errors import Conflict, InvalidInput
from plaza_core.ids import RandomBytes
from plaza_core.settings import Settings
from plaza_registry.blobs import LocalBlobs
from plaza_tenancy.copies import (
    begin_anew,
    bundle_files,
    check_sqlite,
    copy_sqlite,
    sqlite_file,
)

FORMAT = 1
MANIFEST, DATABASE, MLFLOW, ADMIN_KEY = "manifest.json", "plaza.db", "mlflow.db", "admin.key"
_MEMBER = re.compile(
    r"plaza\.db|mlflow\.db|admin\.key|blobs/[0-9a-f]{64}"
    r"|secrets/[a-z0-9][a-z0-9.-]{0,63}|spool/[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.log"
)
_KEPT = ("blobs", "secrets", "spool", ADMIN_KEY, MLFLOW)
_MANIFEST_BYTES = 256 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Packed:
    """What a backup holds. `damaged`: digests that versions name and that are not whole here."""

    files: int
    size: int
    damaged: list[str] = field(default_factory=list)


# ── backup ───────────────────────────────────────────────────────────────────────────────────────
def backup(settings: Settings, file: Path, clock: Clock) -> Packed:
    """Write a backup; the hub may be running. Raises InvalidInput where the database is a server,
    Conflict when `file` exists or there is no hub, Unavailable when a database is damaged."""
    database, state = sqlite_file(settings.database), settings.state_dir.resolve()
    if file.exists():
        raise Conflict("the file exists", input="file")
    if not database.exists():
        raise Conflict("there is no hub in this state directory", input="state_dir")
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=file.resolve().parent) as made:
        staged = Path(made)
        members = _stage_spool(state / "spool", staged)
        copy_sqlite(database, staged / DATABASE)
        members[DATABASE] = staged / DATABASE
        embedded = state / MLFLOW
        if settings.mlflow_uri is None and embedded.exists():
            copy_sqlite(embedded, staged / MLFLOW)
            members[MLFLOW] = staged / MLFLOW
        members |= {f"secrets/{p.name}": p for p in sorted((state / "secrets").glob("[!.]*"))}
        if (state / ADMIN_KEY).exists():
            members[ADMIN_KEY] = state / ADMIN_KEY
        listed = {name: _facts(path) for name, path in members.items()}
        stored = LocalBlobs(state / "blobs", verify=False)
        # A bucket has its own copies and versions; a file of all of it would serve nobody.
        named = bundle_files(staged / DATABASE) if settings.blobs is None else set()
        blobs, damaged = _whole_blobs(stored, named)
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "made_unix_us": clock.unix_us(),
            "files": listed | blobs,
            "damaged": damaged,
        }
        _write(staged / "tar", manifest, members, stored)
        (staged / "tar").rename(file)
    sizes = [facts["size"] for facts in manifest["files"].values()]
    return Packed(len(sizes), sum(sizes), damaged)


def _stage_spool(spool: Path, staged: Path) -> dict[str, Path]:
    """Whole lines only: a torn one was never acknowledged."""
    members = {}
    for path in sorted(spool.glob("*.log")):
        try:
            lines = path.read_bytes()
        except FileNotFoundError:
            continue  # shipped and gone meanwhile
        copy = staged / path.name
        copy.write_bytes(lines[: lines.rfind(b"\n") + 1])
        members[f"spool/{path.name}"] = copy
    return members


def _whole_blobs(blobs: LocalBlobs, named: set[str]) -> tuple[dict[str, Any], list[str]]:
    whole: dict[str, Any] = {}
    damaged = []
    for digest in sorted(blobs.digests()):
        with blobs.open(digest) as file:
            facts = _measured(file)
        if facts["sha256"] == digest:
            whole[f"blobs/{digest}"] = facts
        else:
            damaged.append(str(digest))
    damaged += sorted(d for d in named if f"blobs/{d}" not in whole and d not in damaged)
    return whole, damaged


def _facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return _measured(file)


def _measured(file: BinaryIO) -> dict[str, Any]:
    made, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK):
        made.update(chunk)
        size += len(chunk)
    return {"sha256": made.hexdigest(), "size": size}


def _write(
    target: Path, manifest: dict[str, Any], members: dict[str, Path], blobs: LocalBlobs
) -> None:
    text = json.dumps(manifest, indent=1).encode()
    with _private(target) as raw, tarfile.open(fileobj=raw, mode="w") as tar:
        _add(tar, MANIFEST, len(text), io.BytesIO(text))
        for name, facts in manifest["files"].items():
            path = members.get(name)
            digest = facts["sha256"]
            with path.open("rb") if path else blobs.open(digest) as content:
                _add(tar, name, facts["size"], content)


def _add(tar: tarfile.TarFile, name: str, size: int, content: BinaryIO) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    tar.addfile(member, content)


@contextmanager
def _private(path: Path) -> Iterator[BinaryIO]:
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


# ── restore ──────────────────────────────────────────────────────────────────────────────────────
def restore(settings: Settings, file: Path, random: RandomBytes, *, force: bool = False) -> Packed:
    """Make the state directory what a backup says. The hub must not run: the caller sees to it.

    Everything is checked before anything is changed. With `force` the state that is there moves to
    `replaced-N` in the state directory. Raises Conflict over existing state, InvalidInput for a
    file that is no whole backup.
    """
    database, state = sqlite_file(settings.database), settings.state_dir.resolve()
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    there = [path for path in (database, *(state / name for name in _KEPT)) if _holds(path)]
    if there and not force:
        raise Conflict("there is a hub in this state directory; see --force", input="state_dir")
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=state) as made:
        staged = Path(made)
        manifest = _read(file, staged)
        if not (staged / DATABASE).exists():
            raise InvalidInput("the backup has no database", input="file")
        check_sqlite(staged / DATABASE)
        begin_anew(staged / DATABASE, random)
        _put_aside(there, state, database)
        for name in _KEPT:
            if (staged / name).exists():
                _place(staged / name, state / name)
        _place(staged / DATABASE, database)  # last: without it there is no hub yet
    os.sync()
    sizes = [facts["size"] for facts in manifest["files"].values()]
    return Packed(len(sizes), sum(sizes), manifest["damaged"])


def _holds(path: Path) -> bool:
    """Whether there is a file, or a directory with a file in it."""
    return any(p.is_file() for p in path.rglob("*")) if path.is_dir() else path.exists()


def _read(file: Path, staged: Path) -> dict[str, Any]:
    """Unpack into `staged`, checking every byte against the manifest, which comes first."""
    try:
        with tarfile.open(file, "r:") as tar:
            first = tar.next()
            if first is None or first.name != MANIFEST or first.size > _MANIFEST_BYTES:
                raise InvalidInput("this is no backup of a hub", input="file")
            manifest: dict[str, Any] = json.loads(_content(tar, first).read())
            if manifest.get("format") != FORMAT:
                raise InvalidInput("a newer Plaza made this backup", input="file")
            missing = dict(manifest["files"])
            for member in tar:
                if member.name != MANIFEST:
                    _unpack(tar, member, missing.pop(member.name, None), staged)
    except (tarfile.TarError, ValueError, KeyError, AttributeError, EOFError) as error:
        raise InvalidInput("this is no whole backup of a hub", input="file") from error
    if missing:
        raise InvalidInput(f"the backup lacks {min(missing)}", input="file")
    return manifest


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise InvalidInput("this is no backup of a hub", input="file")
    return content  # type: ignore[return-value]  # IO[bytes] by its stub, a BinaryIO by its methods


def _unpack(
    tar: tarfile.TarFile, member: tarfile.TarInfo, facts: dict[str, Any] | None, staged: Path
) -> None:
    # Only names of ours: no path leads out of the staging directory.
    if facts is None or _MEMBER.fullmatch(member.name) is None or member.size != facts["size"]:
        raise InvalidInput("the backup has a file that its manifest does not list", input="file")
    content = _content(tar, member)
    chunks = iter(lambda: content.read(_CHUNK), b"")
    if member.name.startswith("blobs/"):
        stored, _ = LocalBlobs(staged / "blobs").put(chunks, limit=member.size)
        found = str(stored)
        whole = member.name == f"blobs/{found}"
    else:
        target, made, whole = staged / member.name, hashlib.sha256(), True
        target.parent.mkdir(exist_ok=True, mode=0o700)
        with _private(target) as out:
            for chunk in chunks:
                made.update(chunk)
                out.write(chunk)
        found = made.hexdigest()
    if not whole or found != facts["sha256"]:
        raise InvalidInput(f"{member.name} is damaged in the backup", input="file")


def _put_aside(there: list[Path], state: Path, database: Path) -> None:
    """Keep what is replaced, with whatever a database had beside it."""
    if not there:
        return
    number = 1 + sum(1 for _ in state.glob("replaced-*"))
    aside = state / f"replaced-{number}"
    aside.mkdir(mode=0o700)
    beside = [path for end in ("-wal", "-shm", "-journal") for path in _ending(database, end)]
    for path in (*there, *beside):
        shutil.move(path, aside / path.name)


def _ending(path: Path, end: str) -> list[Path]:
    found = path.with_name(path.name + end)
    return [found] if found.exists() else []


def _place(source: Path, target: Path) -> None:
    if target.is_dir():  # empty, else it was put aside
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.move(source, target)
