"""A model that goes wrong only at run time takes down nothing but its own cell (short form).

The full form, with the end of a quarantine, is `make prove`.
"""

import platform

import numpy as np
import psutil
import pytest

from benchmarks import contained, graphs
from tests.hub.waiting import until

pytestmark = pytest.mark.hub


def test_what_nobody_vouched_for_runs_in_a_process_of_its_own(hub, organisation, key):
    name, _, client = organisation
    before = contained.cells(hub)
    graph = graphs.tiny(seed=11)
    graph.manifest["name"] = "ours"
    client.models.register(graph.write(hub.models / f"{name}-ours"))
    x = {"x": np.ones((1, 4), np.float32)}
    until(lambda: client.infer("ours", x))
    (cell,) = contained.cells(hub) - before
    assert psutil.Process(cell).environ().keys() <= {
        "LANG", "LC_CTYPE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ORT_DISABLE_TELEMETRY",
        "PYTHONPATH", "MALLOC_ARENA_MAX",
    }  # fmt: skip
    client.infer("tiny", x)  # public
    assert contained.cells(hub) == before | {cell}
    hub.admin.models.set_visibility("ours", "public", organisation=name)
    until(lambda: cell not in contained.cells(hub))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="unruly.overflow crashes x86 only")
def test_a_model_that_crashes_at_run_time_takes_down_nothing_but_its_cell(hub, tmp_path):
    found = contained.round_of(hub, tmp_path, contained.STEPS)
    assert found.held, found
    assert all(counts["ok"] > 50 for counts in found.neighbours.values())
