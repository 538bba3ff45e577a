"""Inputs to compare two models on: a bundle's samples through its family, else random tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from plaza_accel.examination.certify import random_tensors, sample_tensors
from plaza_core.errors import PlazaError
from plaza_core.manifest import Manifest
from plaza_core.plugins import FAMILIES, available, load
from plaza_core.tensors import Array, Signature

Feed = dict[str, Array]


def feeds(
    directory: Path, manifest: Manifest, more: Sequence[str], task: Mapping[str, str] | None
) -> tuple[list[Feed], str]:
    """The inputs, and in words what they are. `more` are files beside the bundle's samples; `task`
    names (`module`, `kind`) what the family is asked with, where it takes no tensors."""
    found: list[Feed] = []
    if task is not None and manifest.family in available(FAMILIES):
        family = load(FAMILIES, manifest.family)(directory, manifest)
        kind = getattr(import_module(task["module"]), task["kind"])
        paths = [directory / name for name in manifest.samples] + [Path(name) for name in more]
        for path in paths:
            payload = _payload(path, kind)
            if payload is not None:
                found.append(family.prepare(payload).tensors)
    else:
        for name in (*manifest.samples, *more):
            only = manifest.model_copy(update={"samples": [name]})
            sample = sample_tensors(directory, only)
            if sample is not None:
                found.append(sample)
    if found:
        return found, "samples"
    return [random_tensors(manifest.signature_spec())], "random tensors"


def rows_of(signature: Signature, feed: Feed) -> int:
    return len(next(iter(feed.values()))) if signature.batched else 1


def _payload(path: Path, kind: Any) -> Any:
    """A task of the fields of a JSON file, or of a picture; None for a file of another kind."""
    try:
        if path.suffix != ".json":
            return kind(image=path.read_bytes())
        document = json.loads(path.read_bytes())
        known = {name: document[name] for name in kind.__dataclass_fields__ if name in document}
        return kind(**{n: tuple(v) if isinstance(v, list) else v for n, v in known.items()})
    except (ValueError, TypeError, PlazaError):
        return None
