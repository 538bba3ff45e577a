"""OpenVINO really runs: every shipped bundle, with the answers of the CPU, from its environment.

Runs in an environment whose ONNX Runtime has the provider (`make openvino`). Elsewhere one test
starts that environment's interpreter, if `.venv-openvino` is there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from benchmarks import graphs
from plaza_accel.conformance import GRAPHS
from plaza_accel.contract.provider import select
from plaza_accel.examination.examine import SandboxExaminer
from plaza_accel.providers import cpu, openvino
from plaza_accel.sandbox.confinement import sandbox_support
from plaza_accel.sessions.placement import NotPlaced
from plaza_core.manifest import MANIFEST_FILE, parse_manifest
from plaza_core.tensors import NUMPY, DType, TensorSpec

ROOT = Path(__file__).parents[3]
BUNDLES = sorted(path.parent for path in (ROOT / "models" / "bundles").glob(f"*/{MANIFEST_FILE}"))
PYTHON = Path(os.environ.get("PLAZA_OPENVINO", ROOT / ".venv-openvino")) / "bin" / "python"
OPENVINO = "OpenVINOExecutionProvider"

pytestmark = pytest.mark.openvino
here = pytest.mark.skipif(
    not openvino.provider.probe().usable, reason="this environment has no OpenVINO: make openvino"
)


def inputs_of(manifest, rows: int):
    """Normal numbers; ones for indices, which every vocabulary has. What varies is of the smallest
    size that the bundle declares."""
    sizes = {"batch": rows, **{axis: sizes[0] for axis, sizes in manifest.buckets.items()}}
    random = np.random.default_rng(rows)
    made = {}
    for spec in manifest.signature_spec().inputs:
        shape = tuple(sizes.get(dim, dim) for dim in spec.shape)
        dtype = NUMPY[spec.datatype]
        plain = dtype.kind == "f"
        made[spec.name] = (random.standard_normal(shape) if plain else np.ones(shape)).astype(dtype)
    return made


@here
@pytest.mark.parametrize("directory", BUNDLES, ids=lambda path: path.name)
def test_a_shipped_bundle_runs_whole_with_the_answers_of_the_cpu(directory):
    manifest = parse_manifest((directory / MANIFEST_FILE).read_bytes())
    theirs = select("openvino").open(directory, manifest)
    ours = cpu.provider.open(directory, manifest)
    assert set(theirs.placement) == {OPENVINO}
    assert theirs.placement[OPENVINO] >= 2  # as many as the judge of pictures has
    for rows in (1, 3):
        inputs = inputs_of(manifest, rows)
        expected, answer = ours.run(inputs), theirs.run(inputs)
        for name, array in expected.items():
            scale = float(np.abs(array).max())
            np.testing.assert_allclose(answer[name], array, rtol=1e-4, atol=1e-5 * scale)


@here
def test_an_untrusted_bundle_is_examined_on_it_in_the_sandbox(tmp_path):
    if not sandbox_support()["usable"]:
        pytest.skip("no sandbox here")
    graph = GRAPHS["conv"]()
    examined = SandboxExaminer(provider="openvino").examine(graph.write(tmp_path), graph.manifest)
    assert examined.passed, examined.reason
    assert set(examined.nodes) == {OPENVINO}


def mixed() -> graphs.Graph:
    """Three nodes that OpenVINO has, and one of strings that it has not."""
    chain = [("x", "a"), ("a", "b"), ("b", "y")]
    texts = [TensorSpec(name, DType.BYTES, ("batch",)) for name in ("t", "u")]
    numbers = [TensorSpec(name, DType.FP32, ("batch", 4)) for name in ("x", "y")]
    return graphs.graph(
        "mixed",
        [
            *(helper.make_node("Sigmoid", [i], [o], name=f"sigmoid_{o}") for i, o in chain),
            helper.make_node("StringConcat", ["t", "t"], ["u"], name="joined"),
        ],
        [numbers[0], texts[0]],
        [numbers[1], texts[1]],
    )


@here
def test_an_operator_that_it_lacks_is_refused_by_name_unless_a_share_allows_it(tmp_path):
    graph = mixed()
    bundle = (graph.write(tmp_path), graph.parsed())
    with pytest.raises(NotPlaced, match="1 of 4 would land elsewhere: StringConcat 'joined'"):
        openvino.provider.open(*bundle)
    with pytest.raises(NotPlaced, match="at most 20% may"):
        openvino.provider.with_options({"cpu_share": 0.2}).open(*bundle)
    runner = openvino.provider.with_options({"cpu_share": 0.25}).open(*bundle)
    assert dict(runner.placement) == {OPENVINO: 3, "CPUExecutionProvider": 1}
    x = np.zeros((1, 4), np.float32)
    answer = runner.run({"x": x, "t": np.array([b"ab"], dtype=object)})
    assert answer["u"].tolist() == [b"abab"]
    expected = cpu.provider.open(*bundle).run({"x": x, "t": np.array([b"ab"], dtype=object)})
    np.testing.assert_allclose(answer["y"], expected["y"], rtol=1e-5)


@pytest.mark.skipif(openvino.provider.probe().usable, reason="this is that environment")
def test_the_environment_of_openvino_passes_its_tests():
    if not PYTHON.exists():
        pytest.skip("there is no .venv-openvino: make openvino")
    tests = [
        "tests/accel/providers/test_openvino.py",
        "tests/accel/conformance/test_conformance.py",
    ]
    command = [
        str(PYTHON),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *tests,
    ]
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert sys.executable not in str(PYTHON)
