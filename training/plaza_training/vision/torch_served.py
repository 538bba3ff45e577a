"""The family around a torch module, before there is a graph: what it answers is what the bundle
will answer, so a threshold chosen here holds there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from plaza_core.manifest import Manifest, manifest_from
from plaza_core.tensors import Array, Signature
from plaza_models.vision.detect import open_family
from plaza_training.served import Opened
from plaza_training.vision.model import STRIDES
from plaza_training.vision.sets import LABELS

INPUT, OUTPUTS = "image", ("boxes", "scores")
"""Names of the graph's tensors, in order."""


def served_by_torch(module: nn.Module, size: int, options: Mapping[str, Any]) -> Opened:
    """The family around the module itself, before there is a graph."""
    manifest = provisional_manifest(size, options)
    return Opened(manifest, open_family(Path(), manifest), _TorchRunner(module, manifest))


def provisional_manifest(size: int, options: Mapping[str, Any]) -> Manifest:
    points = sum((size // stride) ** 2 for stride in STRIDES)

    def tensor(name: str, *shape: int) -> dict[str, Any]:
        return {"name": name, "datatype": "FP32", "shape": ["batch", *shape]}

    boxes, scores = OUTPUTS
    signature = {
        "inputs": [tensor(INPUT, 3, size, size)],
        "outputs": [tensor(boxes, points, 4), tensor(scores, points, len(LABELS))],
    }
    return manifest_from(
        {
            "schema": 1,
            "name": "road-vehicles",
            "family": "vision.detect",
            "options": dict(options),
            "signature": signature,
        }
    )


class _TorchRunner:
    """The port Runner over a torch module."""

    provider = "torch"
    resident_bytes = 0

    def __init__(self, module: nn.Module, manifest: Manifest) -> None:
        self._module = module
        self._signature = manifest.signature_spec()

    @property
    def signature(self) -> Signature:
        return self._signature

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        with torch.no_grad():
            values = self._module(torch.from_numpy(inputs[INPUT]))
        named = dict(zip(OUTPUTS, (value.numpy() for value in values), strict=True))
        return {name: named[name] for name in outputs or OUTPUTS}

    def close(self) -> None:
        """Nothing is held open."""
