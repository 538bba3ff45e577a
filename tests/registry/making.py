"""What registry tests make: bundle directories around a tiny real ONNX model."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from plaza_core.principal import TenantScope

ALICE = TenantScope("org_a", "prj_a", "key_alice")
BOB = TenantScope("org_b", "prj_b", "key_bob")

MANIFEST = """\
schema: 1
name: doubler
family: tensor
signature:
  inputs: [{name: x, datatype: FP32, shape: [batch, 2]}]
  outputs: [{name: y, datatype: FP32, shape: [batch, 2]}]
"""


def model_bytes(scale: int = 1) -> bytes:
    """y = x + x (+ x …): models of different `scale` have different content."""
    nodes = [helper.make_node("Add", ["x", "x"], ["s0"])]
    nodes += [helper.make_node("Add", [f"s{i}", "x"], [f"s{i + 1}"]) for i in range(scale)]
    nodes.append(helper.make_node("Identity", [f"s{scale}"], ["y"]))
    shape = ["batch", 2]
    graph = helper.make_graph(
        nodes,
        "doubler",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    return model.SerializeToString()


def bundle_files(scale: int = 1, card: str = "# Doubler\n") -> dict[str, bytes]:
    return {
        "model.onnx": model_bytes(scale),
        "plaza.yaml": MANIFEST.encode(),
        "CARD.md": card.encode(),
        "labels.json": b'["one", "two"]',
    }


def write_bundle(directory: Path, files: dict[str, bytes] | None = None) -> Path:
    for path, content in (files or bundle_files()).items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return directory
