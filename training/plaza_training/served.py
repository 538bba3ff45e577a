"""A bundle opened as the hub opens it, without the hub: family before and after a runner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plaza_core.manifest import MANIFEST_FILE, Manifest, parse_manifest
from plaza_core.plugins import FAMILIES, load
from plaza_core.ports import Family, FamilyFactory, Runner, RunnerFactory


@dataclass(frozen=True, slots=True)
class Served:
    """One opened bundle. Its metrics are those of what is served, not of the torch module."""

    manifest: Manifest
    family: Family
    runner: Runner

    def ask(self, payload: Any) -> Any:
        """Answer one task payload of the family."""
        prepared = self.family.prepare(payload)
        return self.family.interpret(self.runner.run(prepared.tensors), prepared.context)


def serve(directory: Path, runners: RunnerFactory) -> Served:
    """Open the bundle in `directory`. Raises InvalidBundle."""
    manifest = parse_manifest((directory / MANIFEST_FILE).read_bytes())
    factory: FamilyFactory = load(FAMILIES, manifest.family)
    return Served(manifest, factory(directory, manifest), runners.open(directory, manifest))
