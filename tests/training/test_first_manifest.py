"""What torch exports registers with the manifest that `plaza models init` writes, unedited."""

from __future__ import annotations

import warnings

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_accel.examination.examine import SandboxExaminer  # noqa: E402  after the skip
from plaza_accel.sandbox.confinement import sandbox_support  # noqa: E402
from plaza_registry.beginning import begin_bundle  # noqa: E402
from plaza_registry.bundle import read_bundle  # noqa: E402

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(
        not sandbox_support()["usable"], reason="this kernel cannot confine a process"
    ),
]


class Sequence(torch.nn.Module):
    """Tokens in, a score per token and one per sentence out: two variable axes."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(50, 8)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, tokens):
        each = self.head(self.table(tokens))
        return each, each.mean(1)


def net():
    layers = [torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)]
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(8, 5)).eval()


def exported(directory, module, example, **more):
    path = directory / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own code warns of itself
        torch.onnx.export(module, (example,), str(path), verbose=False, **more)
    begun = begin_bundle(path)
    assert begun.digest is not None, begun.notes
    bundle = read_bundle(directory)
    verdict = SandboxExaminer(timeout_s=20, memory_mb=2000).examine(directory, bundle.manifest)
    assert verdict.passed, verdict.reason
    signature = bundle.manifest.signature
    return {t.name: t.shape for t in (*signature.inputs, *signature.outputs)}, bundle


def test_a_picture_with_a_free_batch(tmp_path):
    batch = torch.export.Dim("batch")
    shapes, _ = exported(
        tmp_path, net(), torch.zeros(2, 3, 16, 16), dynamic_shapes=({0: batch},),
        input_names=["image"], output_names=["scores"],
    )  # fmt: skip
    assert shapes == {"image": ["batch", 3, 16, 16], "scores": ["batch", 5]}


def test_fixed_shapes_and_the_exporters_own_names(tmp_path):
    shapes, bundle = exported(tmp_path, net(), torch.zeros(1, 3, 16, 16))
    assert list(shapes.values()) == [[1, 3, 16, 16], [1, 5]]
    assert bundle.manifest.limits.max_batch == 1


def test_weights_in_a_file_of_their_own(tmp_path):
    _, bundle = exported(tmp_path, net(), torch.zeros(2, 3, 16, 16), external_data=True,
                         dynamic_shapes=({0: torch.export.Dim("n")},))  # fmt: skip
    assert bundle.manifest.signature_spec().batched


def test_two_variable_axes(tmp_path):
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    shapes, _ = exported(
        tmp_path, Sequence().eval(), torch.zeros(2, 7, dtype=torch.int64),
        dynamic_shapes=({0: batch, 1: length},),
        input_names=["tokens"], output_names=["each", "whole"],
    )  # fmt: skip
    assert shapes == {
        "tokens": ["batch", "length"],
        "each": ["batch", "length", 2],
        "whole": ["batch", 2],
    }


def test_the_older_exporter(tmp_path):
    shapes, _ = exported(
        tmp_path, net(), torch.zeros(2, 3, 16, 16), dynamo=False,
        input_names=["image"], output_names=["scores"],
        dynamic_axes={"image": {0: "N"}, "scores": {0: "N"}},
    )  # fmt: skip
    assert shapes == {"image": ["batch", 3, 16, 16], "scores": ["batch", 5]}
