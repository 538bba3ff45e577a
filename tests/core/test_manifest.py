"""A wrong `plaza.yaml` is told by field: what was found, what is allowed, what was meant."""

from __future__ import annotations

import contextlib
import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.errors import InvalidBundle
from plaza_core.manifest import Manifest, manifest_from, parse_manifest
from plaza_core.schemas import SCHEMAS

TENSOR = {"name": "x", "datatype": "FP32", "shape": ["batch", 2]}
GOOD = {"schema": 1, "name": "good", "signature": {"inputs": [TENSOR], "outputs": [TENSOR]}}


def rename(old, new):
    def change(data):
        data[new] = data.pop(old)

    return change


def tensor(**more):
    return lambda data: data["signature"]["inputs"][0].update(more)


def top(**more):
    return lambda data: data.update(more)


@pytest.mark.parametrize(
    ("change", "where", "words"),
    [
        (rename("signature", "signatur"), "signatur", "did you mean 'signature'?"),
        (rename("signature", "x"), "x", "expected one of buckets, family, limits, name, options"),
        (tensor(datatype="FLOAT32"), "signature.inputs[0].datatype", "found 'FLOAT32'; expected"),
        (tensor(datatype="FP23"), "signature.inputs[0].datatype", "did you mean 'FP32'?"),
        (tensor(shape=["Batch"]), "signature.inputs[0].shape[0]", "found 'Batch'; expected a size"),
        (tensor(shape=["batch", 0]), "signature.inputs[0].shape[1]", "found 0; expected a size"),
        (tensor(shape=3), "signature.inputs[0].shape", "found 3; expected a list"),
        (tensor(dtype="FP32"), "signature.inputs[0].dtype", "did you mean 'datatype'?"),
        (lambda d: d["signature"].pop("outputs"), "signature.outputs", "this field is missing"),
        (
            lambda d: d["signature"].update(inputs=[]),
            "signature.inputs",
            "a list that is not empty",
        ),
        (top(limits={"max_batch": 5000}), "limits.max_batch", "a whole number from 1 to 4096"),
        (top(limits=3), "limits", "found 3; expected a mapping"),
        (top(schema=2), "schema", "found 2; expected 1"),
        (top(name="Good Name"), "name", "lower-case letters, digits and '-'"),
        (top(buckets={"tokens": [8]}), "buckets", "'tokens' is no variable axis to pad; expected"),
        (top(buckets={"batch": [8]}), "buckets", "expected none, for no input has any"),
        (
            lambda d: (
                tensor(shape=["batch", "tokens"])(d),
                d.update(buckets={"tokens": [8, 4]}),
            ),
            "buckets",
            "the sizes of 'tokens' must ascend",
        ),
        (
            lambda d: (
                tensor(shape=["batch", "tokens"])(d),
                d.update(buckets={"tokens": list(range(1, 34))}),
            ),
            "buckets",
            "there may be 32 combinations of sizes",
        ),
        (top(samples=[1]), "samples[0]", "found 1; expected text"),
        (top(family=None), "family", "found None; expected text"),
        (top(name="x" * 500), "name", "…; expected"),
    ],
)
def test_each_mistake_in_words(change, where, words):
    data = copy.deepcopy(GOOD)
    change(data)
    with pytest.raises(InvalidBundle) as caught:
        manifest_from(data)
    assert caught.value.input == where
    assert words in caught.value.message
    assert len(caught.value.message) < 250


def test_the_place_of_broken_yaml_is_told():
    with pytest.raises(InvalidBundle, match=r"line 3, column 1"):
        parse_manifest("name: x\nfamily: [\n")


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "inputs", "shape", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from([*Manifest.model_fields, "schema", "signatur"]), junk, max_size=5
    )
)
def test_whatever_is_wrong_there_is_a_sentence_for_it(data):
    with contextlib.suppress(InvalidBundle):
        manifest_from(data)


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_field_of_a_schema_says_what_is_allowed(name):
    assert SCHEMAS[name].model_json_schema()["description"]
