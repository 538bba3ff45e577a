"""Signatures name the offending tensor."""

import numpy as np
import pytest

from plaza_core.errors import InvalidTensor
from plaza_core.tensors import DType, Signature, TensorSpec

SIGNATURE = Signature(
    inputs=(
        TensorSpec("ids", DType.INT64, ("batch", "length")),
        TensorSpec("mask", DType.FP32, ("batch", "length")),
    ),
    outputs=(TensorSpec("score", DType.FP32, ("batch", 2)),),
)


def inputs(ids=(2, 3), mask=(2, 3)):
    return {"ids": np.zeros(ids, np.int64), "mask": np.zeros(mask, np.float32)}


def test_good_inputs_have_rows():
    assert SIGNATURE.check(inputs()) == 2
    assert SIGNATURE.batched


@pytest.mark.parametrize(
    ("tensors", "culprit"),
    [
        (inputs() | {"extra": np.zeros(1)}, "extra"),
        ({"ids": np.zeros((1, 1), np.int64)}, "mask"),
        (inputs() | {"ids": np.zeros((2, 3), np.int32)}, "ids"),
        (inputs(mask=(2,)), "mask"),
        (inputs(mask=(2, 4)), "mask"),
        (inputs(ids=(0, 3), mask=(0, 3)), "ids"),
    ],
)
def test_a_bad_input_is_named(tensors, culprit):
    with pytest.raises(InvalidTensor) as refused:
        SIGNATURE.check(tensors)
    assert refused.value.input == culprit


def test_a_variable_axis_is_minus_one_on_the_wire():
    assert SIGNATURE.outputs[0].wire_shape() == [-1, 2]
