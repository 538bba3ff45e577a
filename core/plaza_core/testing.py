"""In-memory twins of the ports, shipped so that plug-in authors can test without a hub."""

from __future__ import annotations

import asyncio
import builtins
import hashlib
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from plaza_core.card import valid_card
from plaza_core.errors import LedgerUnavailable, ModelNotFound, NotFound, PayloadTooLarge
from plaza_core.ids import Digest, ModelId, RequestId, valid_digest
from plaza_core.inference import UsageRecord
from plaza_core.manifest import Manifest
from plaza_core.ports import CardRevision, OutboxItem
from plaza_core.principal import TenantScope
from plaza_core.running import Examination, Prepared
from plaza_core.table import HubTable
from plaza_core.tensors import Array, Signature


class FakeClock:
    """A clock that moves only when told."""

    def __init__(self, unix_us: int = 1_700_000_000_000_000) -> None:
        self._mono = 1_000_000_000
        self._unix = unix_us

    def advance(self, seconds: float) -> None:
        self._mono += round(seconds * 1e9)
        self._unix += round(seconds * 1e6)

    def monotonic_ns(self) -> int:
        return self._mono

    def unix_us(self) -> int:
        return self._unix


class MemoryBlobs:
    """BlobStore in a dictionary."""

    def __init__(self) -> None:
        self._content: dict[Digest, bytes] = {}

    def check(self) -> None:
        """A dictionary takes everything."""

    def put(self, chunks: Iterable[bytes], *, limit: int) -> tuple[Digest, int]:
        data = bytearray()
        for chunk in chunks:
            data += chunk
            if len(data) > limit:
                raise PayloadTooLarge(f"more than {limit} bytes")
        digest = Digest(hashlib.sha256(data).hexdigest())
        self._content[digest] = bytes(data)
        return digest, len(data)

    def open(self, sha256: Digest) -> BinaryIO:
        if valid_digest(sha256) not in self._content:
            raise NotFound("no such blob", input=sha256)
        return io.BytesIO(self._content[sha256])

    def exists(self, sha256: Digest) -> bool:
        return valid_digest(sha256) in self._content

    def delete(self, sha256: Digest) -> None:
        self._content.pop(valid_digest(sha256), None)

    def digests(self) -> Iterator[Digest]:
        return iter(tuple(self._content))

    def remove_abandoned(self, before_unix_us: int) -> int:
        """An unfinished write leaves nothing here."""
        return 0


class MemoryCards:
    """CardRecords in a dictionary. `cards`: (name, version) -> the card of the bundle."""

    def __init__(self, clock: FakeClock, cards: Mapping[tuple[str, int], str]) -> None:
        self._clock = clock
        self._kept = {
            place: [CardRevision(place[1], 1, text, clock.unix_us(), "first")]
            for place, text in cards.items()
        }

    def set(self, scope: TenantScope, name: str, version: int, text: str) -> CardRevision:
        valid_card(text)
        newest = self.list(scope, name, version)[0]
        if newest.text != text:
            newest = CardRevision(
                version, newest.revision + 1, text, self._clock.unix_us(), str(scope.actor)
            )
            self._kept[name, version].insert(0, newest)
        return newest

    def list(self, scope: TenantScope, name: str, version: int) -> builtins.list[CardRevision]:
        if (name, version) not in self._kept:
            raise ModelNotFound("the model has no such version", input="version")
        return list(self._kept[name, version])


class EchoRunner:
    """Runner that gives each output the input at the same position."""

    provider = "echo"
    resident_bytes = 1

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.batches: list[int] = []
        self.closed = False

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        arrays = [inputs[spec.name] for spec in self.signature.inputs]
        self.batches.append(len(arrays[0]) if arrays[0].ndim else 1)
        answer = {s.name: a for s, a in zip(self.signature.outputs, arrays, strict=False)}
        return answer if outputs is None else {name: answer[name] for name in outputs}

    def close(self) -> None:
        self.closed = True


class EchoRunnerFactory:
    def __init__(self) -> None:
        self.opened: list[EchoRunner] = []

    def open(self, directory: Path, manifest: Manifest) -> EchoRunner:
        runner = EchoRunner(manifest.signature_spec())
        self.opened.append(runner)
        return runner

    def weigh(self, directory: Path, manifest: Manifest) -> int:
        return EchoRunner.resident_bytes


class TensorFamily:
    """Family of raw tensors: the task payload is already a mapping of tensors."""

    def prepare(self, payload: Any) -> Prepared:
        tensors = dict(payload)
        return Prepared(tensors, rows=len(next(iter(tensors.values()))))

    def interpret(self, outputs: Mapping[str, Array], context: Any) -> Any:
        return {name: array.tolist() for name, array in outputs.items()}


class MemoryTableSource:
    """TableSource whose table is set by the test."""

    def __init__(self, table: HubTable) -> None:
        self._table = table
        self._changed = asyncio.Event()

    def publish(self, table: HubTable) -> None:
        self._table = table
        self._changed.set()

    async def fetch(self, known: str | None, wait_s: float) -> HubTable | None:
        if self._table.version == known:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), wait_s)
            except TimeoutError:
                return None
        return self._table


class MemoryUsage:
    """UsageSink and UsageLedger in one: remembers records, unique by organisation and request."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, RequestId], UsageRecord] = {}
        self.broken = False

    def append(self, records: Sequence[UsageRecord]) -> None:
        if self.broken:
            raise LedgerUnavailable("usage cannot be recorded now", retry_after=1)
        self.ingest(records)

    def ingest(self, records: Sequence[UsageRecord]) -> int:
        before = len(self.records)
        for record in records:
            self.records.setdefault((record.organisation, record.request_id), record)
        return len(self.records) - before


class MemoryTracker:
    """VersionTracker in dictionaries. Like MLflow it numbers versions itself and gives no number
    twice; a test changes `models` where somebody would by hand."""

    def __init__(self) -> None:
        self.applied: list[OutboxItem] = []
        self.models: dict[ModelId, MemoryModel] = {}

    def apply(self, item: OutboxItem) -> int | None:
        if all(item.id != seen.id for seen in self.applied):
            self.applied.append(item)
        model = ModelId(item.payload["model"])
        version = item.payload.get("version")
        if item.kind == "version" and item.payload.get("first", version == 1):
            self.models.setdefault(model, MemoryModel())
        if model not in self.models:
            raise NotFound("no such model in the tracker")
        if item.kind == "version":
            self.models[model].add(version)
        return self.models[model].point(item.payload) if item.kind == "alias" else None

    def shown(self, models: Collection[ModelId]) -> dict[ModelId, dict[str, int]]:
        return {name: dict(self.models[name].aliases) for name in models if name in self.models}

    def version_of(self, model: ModelId, number: int) -> int | None:
        return self.models[model].versions.get(number) if model in self.models else None


class MemoryModel:
    """A registered model of `MemoryTracker`."""

    def __init__(self) -> None:
        self.versions: dict[int, int | None] = {}
        """Its number -> the hub's version that it mirrors."""
        self.aliases: dict[str, int] = {}
        self._newest = 0

    def add(self, version: int | None) -> None:
        if version is None or version not in self.versions.values():
            self._newest += 1
            self.versions[self._newest] = version

    def point(self, payload: Mapping[str, Any]) -> int | None:
        alias, version = payload["alias"], payload["version"]
        if version is None:
            self.aliases.pop(alias, None)
            return None
        numbers = [number for number, mirrors in self.versions.items() if mirrors == version]
        if not numbers:
            raise NotFound("no such version in the tracker")
        self.aliases[alias] = numbers[0]
        return numbers[0]

    def delete(self, number: int) -> None:
        """As by hand: the aliases of that version go too."""
        del self.versions[number]
        self.aliases = {name: at for name, at in self.aliases.items() if at != number}


class TrustingExaminer:
    """Examiner that passes everything; for tests of what comes after the examination."""

    def examine(self, directory: Path, manifest: Manifest) -> Examination:
        return Examination(
            passed=True,
            reason="not examined",
            provider="echo",
            runtime="none",
            nodes={},
            peak_bytes=0,
            run_us=0,
        )
