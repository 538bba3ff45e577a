"""What a caller is told of where a model runs is what ONNX Runtime recorded."""

import asyncio

import numpy as np

from benchmarks import graphs
from plaza_accel.contract.provider import select
from plaza_core.inference import Call
from plaza_core.manifest import manifest_from
from plaza_serving.doors.oip import _placement
from tests.serving.dataplane.world import make_key, make_model, make_table


class Directory:
    def __init__(self, path):
        self.path = path

    def fetch(self, entry):
        return self.path

    def release(self, entry):
        pass


async def test_the_metadata_of_an_open_model_shows_its_provider_and_placement(kit, tmp_path):
    graph = graphs.tiny()
    model = make_model("tiny", versions=(1,))
    entries = [
        v.model_copy(update={"manifest": manifest_from(graph.manifest)}) for v in model.versions
    ]
    k = kit(factory=select("cpu"))
    k.host._bundles = Directory(graph.write(tmp_path))
    entry, header = make_key()
    await k.serve(make_table([model.model_copy(update={"versions": entries})], [entry]))
    principal = k.plane.authenticate(header)
    x = np.ones((1, 4), np.float32)
    call = Call(k.plane.new_request_id(), "tiny", None, tensors={"x": x})
    await asyncio.wait_for(k.plane.infer(principal, call), 10)
    view = k.plane.model(principal, "tiny", None)
    assert view.placement == {"CPUExecutionProvider": 1}
    assert _placement(view) == "CPUExecutionProvider=1"
