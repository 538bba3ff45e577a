"""A model runs where it was asked to, or is refused naming the nodes that would not.

Azure's provider is in every wheel of ONNX Runtime, can be asked for, and takes no local node: a
device that lacks everything.
"""

from __future__ import annotations

import dataclasses

import pytest
from onnx import helper

from benchmarks import graphs
from plaza_accel.sessions.options import SessionPlan
from plaza_accel.sessions.placement import NotPlaced, PlacedNode, check
from plaza_accel.sessions.session import open_runner
from plaza_core.errors import ProviderUnavailable
from plaza_core.tensors import DType, TensorSpec

AZURE = SessionPlan("azure", ("AzureExecutionProvider",))
BOTH = SessionPlan("both", ("AzureExecutionProvider", "CPUExecutionProvider"), strict=True)


def named(*names: str) -> graphs.Graph:
    """A chain of Abs with these names."""
    steps = ["x", *(f"t{i}" for i in range(len(names) - 1)), "y"]
    return graphs.graph(
        "chain",
        [
            helper.make_node("Abs", [steps[i]], [steps[i + 1]], name=name)
            for i, name in enumerate(names)
        ],
        [TensorSpec("x", DType.FP32, ("batch",))],
        [TensorSpec("y", DType.FP32, ("batch",))],
    )


def test_the_refusal_names_the_nodes(bundle):
    with pytest.raises(NotPlaced) as caught:
        open_runner(*bundle(named("first", "second")), AZURE)
    assert caught.value.message == (
        "'azure' cannot run every node of this model; 2 of 2 would land elsewhere: "
        "Abs 'first', Abs 'second'"
    )
    assert [node.name for node in caught.value.nodes] == ["first", "second"]
    assert caught.value.code == "provider_unavailable"


def test_a_stated_share_is_allowed_and_no_more(bundle):
    """Every node lands on the CPU, so that only a share above all would do."""
    for share in (0.0, 0.5, 0.99):
        plan = dataclasses.replace(AZURE, cpu_share=share)
        with pytest.raises(NotPlaced, match="Abs 'first'"):
            open_runner(*bundle(named("first")), plan)


def node(execution: str, name: str) -> PlacedNode:
    return PlacedNode(execution, "Conv", name)


def test_the_share_is_counted_in_nodes():
    nodes = [node("Gpu", str(i)) for i in range(9)] + [node("Cpu", "last")]
    check("gpu", nodes, ("Gpu",), 0.1)
    with pytest.raises(NotPlaced, match=r"1 of 10 .*at most 9% may.*Conv 'last'"):
        check("gpu", nodes, ("Gpu",), 0.09)
    with pytest.raises(NotPlaced, match="1 of 10"):
        check("gpu", nodes, ("Gpu",), 0.0)


def test_an_empty_graph_has_nothing_elsewhere():
    check("gpu", [], ("Gpu",), 0.0)


def test_many_nodes_are_counted_and_equal_ones_said_once():
    nodes = [node("Cpu", "") for _ in range(5)] + [node("Cpu", f"n{i}") for i in range(20)]
    with pytest.raises(NotPlaced, match="25 of 25 would") as caught:
        check("gpu", nodes, ("Gpu",), 0.0)
    assert "5 × Conv, Conv 'n0'" in caught.value.message
    assert caught.value.message.endswith("and 13 more")
    assert len(caught.value.nodes) == 25


def test_names_of_a_strangers_nodes_carry_nothing_but_plain_text(bundle):
    with pytest.raises(ProviderUnavailable) as caught:
        open_runner(*bundle(named("a\nb'\x1b[31m" + "x" * 500)), AZURE)
    said = caught.value.message
    assert said.isprintable()
    assert "a_b__[31m" in said
    assert len(said) < 250
