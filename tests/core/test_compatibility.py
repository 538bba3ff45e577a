"""What one version may change under those who call another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.compatibility import breaking, changes
from plaza_core.manifest import manifest_from

X = {"name": "x", "datatype": "FP32", "shape": ["batch", 4]}
Y = {"name": "y", "datatype": "FP32", "shape": ["batch", 2]}


def manifest(inputs=(X,), outputs=(Y,), **more):
    signature = {"inputs": list(inputs), "outputs": list(outputs)}
    return manifest_from({"schema": 1, "name": "m", "signature": signature, **more})


def said(after, before=None):
    return [str(change) for change in breaking(before or manifest(), after)]


def test_nothing_changes_between_equals():
    assert changes(manifest(), manifest()) == []


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (manifest(inputs=[X, {**X, "name": "z"}]), "input z is new (FP32 [batch, 4])"),
        (manifest(inputs=[{**X, "name": "z"}]), "input x is gone (was FP32 [batch, 4])"),
        (manifest(inputs=[{**X, "datatype": "FP16"}]), "input x datatype: FP32 → FP16"),
        (manifest(inputs=[{**X, "shape": ["batch", 5]}]), "input x axis 1: 4 → 5"),
        (manifest(inputs=[{**X, "shape": [1, 4]}]), "input x axis 0: batch → 1"),
        (manifest(inputs=[{**X, "shape": ["batch", 4, 1]}]), "FP32 [batch, 4, 1]"),
        (manifest(outputs=[{**Y, "name": "z"}]), "output y is gone (was FP32 [batch, 2])"),
        (manifest(outputs=[{**Y, "shape": ["batch", "n"]}]), "output y axis 1: 2 → n"),
        (manifest(outputs=[{**Y, "datatype": "INT64"}]), "output y datatype: FP32 → INT64"),
        (manifest(family="text.embed"), "family: tensor → text.embed"),
        (manifest(limits={"deadline_ms": 5}), "limits.deadline_ms: 10000 → 5"),
    ],
)
def test_what_callers_cannot_go_on_with_breaks(after, told):
    assert any(told in line for line in said(after)), said(after)


@pytest.mark.parametrize(
    "after",
    [
        manifest(inputs=[{**X, "shape": ["batch", "width"]}]),
        manifest(inputs=[{**X, "shape": ["rows", 4]}]),
        manifest(outputs=[Y, {**Y, "name": "score"}]),
        manifest(outputs=[{**Y, "shape": [1, 2]}]),
        manifest(limits={"max_batch": 1}),
        manifest(limits={"deadline_ms": 20_000}),
        manifest(options={"threshold": 0.5}),
    ],
)
def test_what_nobody_must_notice_does_not_break(after):
    assert changes(manifest(), after), "it is told all the same"
    assert said(after) == []


def test_axes_that_must_be_equal_now_and_were_free_before_break():
    free = [{**X, "shape": ["batch", "n"]}, {**X, "name": "z", "shape": ["batch", "m"]}]
    tied = [{**X, "shape": ["batch", "n"]}, {**X, "name": "z", "shape": ["batch", "n"]}]
    assert said(manifest(tied), manifest(free)) == ["inputs x axis 1, z axis 1: free → all n"]
    assert said(manifest(free), manifest(tied)) == []


axes = st.sampled_from(["batch", "n", 2, 3])
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from("abc"),
        "datatype": st.sampled_from(["FP32", "INT64"]),
        "shape": st.lists(axes, max_size=2),
    }
)
sides = st.lists(tensors, min_size=1, max_size=3, unique_by=lambda tensor: tensor["name"])


@given(st.builds(manifest, sides, sides))
def test_a_version_never_breaks_itself(one):
    assert changes(one, one) == []


@given(st.builds(manifest, sides, sides), st.builds(manifest, sides, sides), st.data())
def test_a_request_that_fits_the_first_fits_every_compatible_one(one, other, data):
    if breaking(one, other):
        return
    lengths = {name: data.draw(st.integers(1, 3), label=name) for name in ("batch", "n")}
    sent = {
        t.name: (t.datatype, [lengths[a] if isinstance(a, str) else a for a in t.shape])
        for t in one.signature.inputs
    }
    bound = {}
    assert sent.keys() == {tensor.name for tensor in other.signature.inputs}
    for tensor in other.signature.inputs:
        datatype, shape = sent[tensor.name]
        assert datatype == tensor.datatype
        assert len(shape) == len(tensor.shape)
        for axis, length in zip(tensor.shape, shape, strict=True):
            wanted = bound.setdefault(axis, length) if isinstance(axis, str) else axis
            assert wanted == length
