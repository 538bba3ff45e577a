"""Files of a bundle: the manifest is read off the graph, so the two cannot disagree."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import yaml

from plaza_core.errors import InvalidBundle
from plaza_core.manifest import MANIFEST_FILE, MODEL_FILE, Manifest, manifest_from
from plaza_training.recipe import Trained

_DATATYPES = {
    onnx.TensorProto.FLOAT: "FP32",
    onnx.TensorProto.FLOAT16: "FP16",
    onnx.TensorProto.INT64: "INT64",
    onnx.TensorProto.INT32: "INT32",
    onnx.TensorProto.UINT8: "UINT8",
}


def signature_of(graph: bytes) -> dict[str, Any]:
    """The `signature` of a manifest, in graph order. Raises InvalidBundle for other datatypes."""
    model = onnx.load_from_string(graph)
    weights = {initializer.name for initializer in model.graph.initializer}
    return {
        "inputs": [_entry(v) for v in model.graph.input if v.name not in weights],
        "outputs": [_entry(v) for v in model.graph.output],
    }


def write_bundle(directory: Path, name: str, graph: bytes, trained: Trained) -> Manifest:
    """Write a fresh bundle (no card yet) and return its manifest. An older one is replaced."""
    manifest: dict[str, Any] = {
        "schema": 1,
        "name": name,
        "family": trained.family,
        "options": dict(trained.options),
        "signature": signature_of(graph),
        "limits": trained.limits.model_dump(),
        "samples": list(trained.samples),
    }
    if trained.buckets:
        manifest["buckets"] = {axis: list(sizes) for axis, sizes in trained.buckets.items()}
    checked = manifest_from(manifest)
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    files: Mapping[str, bytes] = {
        MODEL_FILE: graph,
        MANIFEST_FILE: yaml.safe_dump(manifest, sort_keys=False, width=100).encode(),
        **trained.files,
    }
    for path, content in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return checked


def _entry(value: onnx.ValueInfoProto) -> dict[str, Any]:
    tensor = value.type.tensor_type
    if tensor.elem_type not in _DATATYPES:
        raise InvalidBundle("a tensor of this type cannot be served", input=value.name)
    return {
        "name": value.name,
        "datatype": _DATATYPES[tensor.elem_type],
        "shape": [axis.dim_param or axis.dim_value for axis in tensor.shape.dim],
    }
