"""A model of the family `tensor` takes tensors and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from plaza_core.errors import InvalidBundle, InvalidInput
from plaza_core.manifest import manifest_from
from plaza_models.tasks import DetectTask
from plaza_models.tensor import open_family


def manifest(**more):
    tensor = {"name": "x", "datatype": "FP32", "shape": ["batch", 3]}
    signature = {"inputs": [tensor], "outputs": [{**tensor, "name": "y"}]}
    return manifest_from({"name": "plain", "signature": signature, **more})


def test_a_task_is_refused_and_tensors_pass_through():
    family = open_family(Path(), manifest())
    with pytest.raises(InvalidInput, match="Open Inference Protocol"):
        family.prepare(DetectTask(b""))
    outputs = {"y": np.ones((1, 3), np.float32)}
    assert family.interpret(outputs, None) == outputs


def test_it_has_no_options():
    with pytest.raises(InvalidBundle) as refusal:
        open_family(Path(), manifest(options={"threshold": 1}))
    assert refusal.value.input == "options.threshold"
