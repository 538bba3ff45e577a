"""A module becomes one file: same numbers, free batch, not a word about where it was made."""

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_core.errors import InvalidBundle  # noqa: E402  after the skip
from plaza_training.bundle import signature_of  # noqa: E402
from plaza_training.export import export  # noqa: E402
from plaza_training.parity import measure  # noqa: E402

pytestmark = pytest.mark.torch


class Toy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Parameter(torch.randn(20, 4).half(), requires_grad=False)
        self.head = torch.nn.Linear(4, 3)

    def forward(self, indices, weights):
        rows = torch.nn.functional.embedding(indices, self.table).float()
        return self.head((rows * weights.unsqueeze(2)).sum(1))


class FixedBatch(torch.nn.Module):
    def forward(self, values):
        return torch.zeros(2, 3) + values.sum()


INPUTS = {"indices": np.zeros((2, 5), np.int64), "weights": np.ones((2, 5), np.float32)}


@pytest.fixture(scope="module")
def toy():
    torch.manual_seed(0)
    return Toy()


@pytest.fixture(scope="module")
def graph(toy):
    return export(toy, INPUTS, ["rows"])


def test_the_same_weights_give_the_same_bytes(toy, graph):
    assert export(toy, INPUTS, ["rows"]) == graph


def test_no_trace_of_the_exporting_machine_is_left(graph):
    model = onnx.load_from_string(graph)
    assert not model.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert b".py" not in graph
    assert b"torch" not in graph


def test_the_signature_is_read_off_the_graph(graph):
    assert signature_of(graph) == {
        "inputs": [
            {"name": "indices", "datatype": "INT64", "shape": ["batch", 5]},
            {"name": "weights", "datatype": "FP32", "shape": ["batch", 5]},
        ],
        "outputs": [{"name": "rows", "datatype": "FP32", "shape": ["batch", 3]}],
    }


def test_a_graph_that_fixes_its_batch_is_refused():
    with pytest.raises(InvalidBundle):
        export(FixedBatch(), {"values": np.ones((2, 5), np.float32)}, ["rows"])


def as_run(module, change=0.0):
    def run(batch):
        with torch.no_grad():
            rows = module(*(torch.from_numpy(array) for array in batch.values())).numpy()
        return {"rows": rows + np.float32(change)}

    return run


def test_parity_measures_the_largest_difference(toy):
    same = measure(toy, ["rows"], as_run(toy), [INPUTS, INPUTS])
    assert (same.max_abs_error, same.rows) == (0.0, 4)
    off = measure(toy, ["rows"], as_run(toy, 0.25), [INPUTS])
    assert off.max_abs_error == pytest.approx(0.25, rel=1e-5)
    same.require(1e-6)
    with pytest.raises(InvalidBundle, match="differs from the module"):
        off.require(1e-4)


def test_a_graph_that_gives_no_number_has_no_parity(toy):
    with pytest.raises(InvalidBundle):
        measure(toy, ["rows"], as_run(toy, np.nan), [INPUTS]).require(1e-4)
