"""Registration and promotion: the order of steps between a directory and a served version.

    read and hash ─▶ examine (sandbox) ─▶ hold ─▶ put blobs ─▶ add_version (transaction) ─▶ drain

Blobs come before the row, so a version never names bytes that are not there; a crash in between
leaves blobs that nobody refers to, which are swept a day later. The hub's database is the truth:
MLflow hears of a change from the outbox, in order, and when it is down it hears of it later.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from plaza_core.errors import Conflict, InvalidBundle, Unavailable
from plaza_core.ids import valid_alias, valid_name
from plaza_core.ports import (
    BlobStore,
    Examination,
    Examiner,
    ModelRecords,
    ModelVersion,
    NewVersion,
    VersionTracker,
)
from plaza_core.principal import TenantScope
from plaza_core.table import ModelEntry, VersionEntry, Visibility
from plaza_registry.bundle import Bundle, BundleLimits, chunks_of, open_plain, read_bundle
from plaza_registry.examining import bundle_of

_log = logging.getLogger(__name__)
_DRAIN_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Registered:
    """`created` is False when the same digest was there already; `tracked` when MLflow knows."""

    version: ModelVersion
    created: bool
    tracked: bool
    examination: Examination


@dataclass(frozen=True, slots=True)
class Promoted:
    model: ModelEntry
    alias: str
    version: int
    tracked: bool


def _always(_name: str) -> AbstractContextManager[bool]:
    return nullcontext(True)


class Registrar:
    """The registry's verbs. Thread-safe; every method blocks and belongs on a worker thread."""

    def __init__(
        self,
        blobs: BlobStore,
        records: ModelRecords,
        examiner: Examiner,
        tracker: VersionTracker,
        *,
        limits: BundleLimits | None = None,
        turn: Callable[[str], AbstractContextManager[bool]] = _always,
    ) -> None:
        """`turn(name)` tells whether this process alone, of all on one database, may do `name`."""
        self._blobs = blobs
        self._records = records
        self._examiner = examiner
        self._tracker = tracker
        self._limits = limits or BundleLimits()
        self._turn = turn
        self._draining = threading.Lock()

    def register(
        self,
        scope: TenantScope,
        directory: Path,
        *,
        name: str | None = None,
        project: str,
        visibility: Visibility,
    ) -> Registered:
        """Make the bundle in `directory` a version of `name`, or of the manifest's name.

        Raises InvalidBundle, also when the examination fails; nothing is stored then. Raises
        Unavailable, with `retry_after`, while blobs cannot be stored: the same call later works.
        """
        if name is not None:
            valid_name(name)
        self._blobs.check()  # before an examination whose result could not be kept
        bundle = read_bundle(directory, self._limits)
        examination = self._examiner.examine(directory, bundle.manifest)
        if not examination.passed:
            raise InvalidBundle(f"the examination failed: {examination.reason}", input="model.onnx")
        # Held before it is put: nobody takes these blobs for left over before the row names them.
        hold = self._records.hold(scope, [file.sha256 for file in bundle.files])
        self._store(bundle)
        new = NewVersion(
            name=name or bundle.manifest.name,
            project=project,
            visibility=visibility,
            digest=bundle.digest,
            manifest=bundle.manifest,
            files=bundle.files,
            card=bundle.card,
            examination=examination,
            hold=hold,
        )
        version, created = self._records.add_version(scope, new)
        return Registered(version, created, self.drain(), examination)

    def examine_again(self, entry: VersionEntry) -> Examination:
        """What the sandbox finds about a version now. Raises NotFound, Unavailable."""
        with bundle_of(self._blobs, entry) as directory:
            return self._examiner.examine(directory, entry.manifest)

    def promote(self, scope: TenantScope, name: str, alias: str, version: int) -> Promoted:
        """Point `alias` of a model at one of its versions. Raises ModelNotFound."""
        valid_alias(alias)
        model = self._records.set_alias(scope, name, alias, version)
        return Promoted(model, alias, version, self.drain())

    def drain(self) -> bool:
        """Tell the tracker what it has not heard yet, oldest first; True when nothing is left.

        False also while another process is telling it. A change never overtakes an earlier one of
        the same model: what fails stays pending, and so does all that follows it for that model.
        Calling it again is always safe.
        """
        with self._draining, self._turn("outbox") as mine:
            return mine and self._tell_all()

    def _tell_all(self) -> bool:
        stuck: dict[int, str] = {}
        while True:
            items = self._records.pending(_DRAIN_AT_ONCE + len(stuck))
            fresh = [item for item in items if item.id not in stuck]
            if not fresh:
                return not stuck
            for item in fresh:
                model = str(item.payload["model"])
                if model in stuck.values():
                    stuck[item.id] = model
                    continue
                try:
                    self._tracker.apply(item)
                except Conflict as error:
                    _log.error("outbox item %d: %s", item.id, error.message)
                    stuck[item.id] = model
                except Unavailable as error:
                    _log.warning("outbox item %d waits: %s", item.id, error.message)
                    return False
                else:
                    self._records.done(item.id)

    def _store(self, bundle: Bundle) -> None:
        for entry in bundle.files:
            with open_plain(bundle.directory, entry.path) as file:
                digest, _ = self._blobs.put(chunks_of(file), limit=entry.size)
            if digest != entry.sha256:
                raise InvalidBundle("the file changed while it was read", input=entry.path)
