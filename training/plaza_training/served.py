"""Who answers an exam: a port, and a bundle opened as the hub opens it, without the hub.

Trainers score through the port, so that the same numbers come from a bundle in this process and
from one that a hub serves (`benchmarks/quality`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from plaza_core.manifest import MANIFEST_FILE, Manifest, parse_manifest
from plaza_core.padding import Buckets, join
from plaza_core.plugins import FAMILIES, load
from plaza_core.running import Family, FamilyFactory, Prepared, Runner, RunnerFactory
from plaza_core.tensors import BATCH_AXIS, Array


class Served(Protocol):
    """A model that answers tasks of its family."""

    @property
    def manifest(self) -> Manifest: ...

    def ask(self, payload: Any) -> Any:
        """Answer one task payload of the family."""

    def ask_all(self, payloads: Iterable[Any], *, joined: int = 128) -> Iterator[Any]:
        """Answer many payloads in order; up to `joined` of them may be answered together."""


@dataclass(frozen=True, slots=True)
class Opened:
    """One bundle in this process: family, graph, family. Its metrics are those of what is served,
    not of the torch module."""

    manifest: Manifest
    family: Family
    runner: Runner

    def ask(self, payload: Any) -> Any:
        """Answer one task payload of the family."""
        prepared = self.family.prepare(payload)
        return self.family.interpret(self.runner.run(prepared.tensors), prepared.context)

    def ask_all(self, payloads: Iterable[Any], *, joined: int = 128) -> Iterator[Any]:
        """Answer many payloads in order, `joined` of them in each run, as a batcher would."""
        queue = iter(payloads)
        while group := [self.family.prepare(payload) for payload in islice(queue, joined)]:
            outputs = self.runner.run(self._join(group))
            first = 0
            for prepared in group:
                last = first + prepared.rows
                share = {name: array[first:last] for name, array in outputs.items()}
                yield self.family.interpret(share, prepared.context)
                first = last

    def _join(self, group: Sequence[Prepared]) -> dict[str, Array]:
        signature = self.runner.signature
        buckets = Buckets(signature, self.manifest.buckets)
        fitted = [buckets.fit(buckets.sizes(prepared.tensors)) for prepared in group]
        most = {axis: max(sizes[axis] for sizes in fitted) for axis in fitted[0]}
        most[BATCH_AXIS] = sum(prepared.rows for prepared in group)
        return {
            s.name: join([prepared.tensors[s.name] for prepared in group], s, most)
            for s in signature.inputs
        }


def serve(directory: Path, runners: RunnerFactory) -> Opened:
    """Open the bundle in `directory`. Raises InvalidBundle."""
    manifest = parse_manifest((directory / MANIFEST_FILE).read_bytes())
    factory: FamilyFactory = load(FAMILIES, manifest.family)
    return Opened(manifest, factory(directory, manifest), runners.open(directory, manifest))
