"""Registration and promotion: the order of steps between a directory and a served version.

    read and hash ─▶ examine (sandbox) ─▶ hold ─▶ put blobs ─▶ add_version (transaction) ─▶ tell

Blobs come before the row, so a version never names bytes that are not there; a crash in between
leaves blobs that nobody refers to, which are swept a day later. The hub's database is the truth:
MLflow hears of a change from the outbox, in order, and when it is down it hears of it later
(`mirror`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plaza_core.certificate import Certificate
from plaza_core.certificate_ports import Certifier
from plaza_core.errors import InvalidBundle, InvalidInput, Unavailable
from plaza_core.ids import valid_alias, valid_name
from plaza_core.ports import BlobStore, ModelRecords, ModelVersion, NewVersion
from plaza_core.principal import TenantScope
from plaza_core.running import Examination, Examiner
from plaza_core.table import ModelEntry, VersionEntry, Visibility
from plaza_core.tracking import Lineage
from plaza_registry.bundle import Bundle, BundleLimits, chunks_of, open_plain, read_bundle
from plaza_registry.examining import bundle_of
from plaza_registry.mirror import Mirror


@dataclass(frozen=True, slots=True)
class Registered:
    """`created` is False when the same digest was there already; `tracked` when MLflow knows, else
    `why_not`, in words for people."""

    version: ModelVersion
    created: bool
    tracked: bool
    why_not: str | None
    examination: Examination
    certificates: tuple[Certificate, ...] = ()
    """Of this registration, one per provider of the hub's pools; the main pool's first."""


@dataclass(frozen=True, slots=True)
class Promoted:
    model: ModelEntry
    alias: str
    version: int
    tracked: bool


class Registrar:
    """The registry's verbs. Thread-safe; every method blocks and belongs on a worker thread."""

    def __init__(
        self,
        blobs: BlobStore,
        records: ModelRecords,
        examiner: Examiner,
        mirror: Mirror,
        *,
        limits: BundleLimits | None = None,
        certifier: Certifier | None = None,
    ) -> None:
        """With a `certifier` a bundle is certified for the providers of all pools instead of being
        examined: the first certificate is the examination."""
        self._blobs = blobs
        self._records = records
        self._examiner = examiner
        self.mirror = mirror
        self._limits = limits or BundleLimits()
        self._certifier = certifier

    def register(
        self,
        scope: TenantScope,
        directory: Path,
        *,
        name: str | None = None,
        project: str,
        visibility: Visibility | None,
        lineage: Lineage | None = None,
    ) -> Registered:
        """Make the bundle in `directory` a version of `name`, or of the manifest's name.

        Raises InvalidBundle, also when the examination fails; nothing is stored then. Raises
        Unavailable, with `retry_after`, while blobs cannot be stored: the same call later works.
        """
        if name is not None:
            valid_name(name)
        self._blobs.check()  # before an examination whose result could not be kept
        bundle = read_bundle(directory, self._limits)
        examination, certificates = self._examined(bundle)
        if not examination.passed:
            raise InvalidBundle(f"the examination failed: {examination.why}", input="model.onnx")
        certificates += self._certified_further(bundle)
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
            lineage=lineage,
            certificates=certificates,
        )
        version, created = self._records.add_version(scope, new)
        told = self.mirror.tell(version.model)
        return Registered(version, created, told.tracked, told.why, examination, certificates)

    def examine_again(self, entry: VersionEntry) -> tuple[Examination, Certificate | None]:
        """What the sandbox finds about a version now, with the main pool's certificate where there
        is a certifier. Raises NotFound, Unavailable."""
        with bundle_of(self._blobs, entry) as directory:
            if self._certifier is None:
                return self._examiner.examine(directory, entry.manifest), None
            main = self._certifier.providers[0]
            made = self._certifier.certify(directory, entry.manifest, entry.digest, main)
            return Examination.of(made), made

    def certify(self, entry: VersionEntry, provider: str) -> Certificate:
        """Examine, place, compare and time a version on `provider`, in its pool's environment.

        Raises InvalidInput for a provider that no pool has or that the manifest excludes, NotFound,
        Unavailable.
        """
        if self._certifier is None:
            raise Unavailable("this hub certifies nothing")
        if not entry.manifest.meant_for(provider):
            named = ", ".join(entry.manifest.providers)
            raise InvalidInput(f"its manifest names other providers: {named}", input="provider")
        with bundle_of(self._blobs, entry) as directory:
            return self._certifier.certify(directory, entry.manifest, entry.digest, provider)

    def _examined(self, bundle: Bundle) -> tuple[Examination, tuple[Certificate, ...]]:
        if self._certifier is None:
            return self._examiner.examine(bundle.directory, bundle.manifest), ()
        main = self._certifier.providers[0]
        made = self._certifier.certify(bundle.directory, bundle.manifest, bundle.digest, main)
        return Examination.of(made), (made,)

    def _certified_further(self, bundle: Bundle) -> tuple[Certificate, ...]:
        """On the providers of other pools. One that fails keeps the version out of them only."""
        if self._certifier is None:
            return ()
        return tuple(
            self._certifier.certify(bundle.directory, bundle.manifest, bundle.digest, provider)
            for provider in self._certifier.providers[1:]
            if bundle.manifest.meant_for(provider)
        )

    def promote(self, scope: TenantScope, name: str, alias: str, version: int) -> Promoted:
        """Point `alias` of a model at one of its versions. Raises ModelNotFound."""
        valid_alias(alias)
        model = self._records.set_alias(scope, name, alias, version)
        return Promoted(model, alias, version, self.mirror.tell(model.id).tracked)

    def _store(self, bundle: Bundle) -> None:
        for entry in bundle.files:
            with open_plain(bundle.directory, entry.path) as file:
                digest, _ = self._blobs.put(chunks_of(file), limit=entry.size)
            if digest != entry.sha256:
                raise InvalidBundle("the file changed while it was read", input=entry.path)
