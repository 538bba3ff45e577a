"""Device and host time are told by different clocks, and every number of a bill agrees."""

import numpy as np
import pytest

from plaza_accel.contract.metering import DeviceClock, Metering
from plaza_core.inference import Call
from plaza_core.testing import EchoRunner, FakeClock, TensorFamily
from plaza_serving.dataplane.batch import BatchRunner
from plaza_serving.dataplane.calibration import SteadyPrice, calibrate
from tests.serving.dataplane.test_batch import work
from tests.serving.dataplane.world import make_manifest

ROW = {"x": np.zeros((1, 2), np.float32)}


class OtherThreads(EchoRunner):
    """2 ms of the wall for each row, of which the calling thread sees 10 µs."""

    def __init__(self, wall, thread):
        super().__init__(make_manifest(max_batch=8).signature_spec())
        self._wall, self._thread = wall, thread

    def run(self, inputs, outputs=None):
        self._wall.advance(0.002 * len(inputs["x"]))
        self._thread.advance(0.000_01)
        return super().run(inputs, outputs)


class Preparing(TensorFamily):
    """300 µs of the calling thread before a run."""

    def __init__(self, thread):
        self._thread = thread

    def prepare(self, payload):
        self._thread.advance(0.000_3)
        return super().prepare(payload)


@pytest.mark.parametrize("threads", [1, 4])
def test_what_other_threads_did_is_charged_and_the_hosts_part_stays_the_threads(threads):
    wall, thread = FakeClock(), FakeClock()
    device = DeviceClock(Metering(threads), wall_ns=wall.monotonic_ns)
    runner, device_ns = device.meter(OtherThreads(wall, thread))
    costs = calibrate(runner, cpu_ns=device_ns)
    (row_us,) = costs.values()
    assert row_us == 2000 * threads
    run = BatchRunner(
        runner,
        Preparing(thread),
        max_batch=8,
        weight=7,
        steady=SteadyPrice(costs),
        clock=wall,
        cpu_ns=thread.monotonic_ns,
        device_ns=device_ns,
    )
    one = work()
    one.call = Call("r", "echo", None, task=ROW, family="tensor")
    (done,) = run([one])
    outcome = done.outcome
    assert outcome.compute_us == 7 * row_us  # device time × the provider's weight
    assert outcome.host_us == 300
    assert outcome.charge == row_us + 300  # by the price in force: 1 and 1
    assert done.bill.overrun == 0
    assert outcome.timing.run_us == 2000


def test_a_batch_is_told_once_and_split_by_rows():
    wall, thread = FakeClock(), FakeClock()
    runner, device_ns = DeviceClock(Metering(2), wall_ns=wall.monotonic_ns).meter(
        OtherThreads(wall, thread)
    )
    run = BatchRunner(
        runner,
        TensorFamily(),
        max_batch=8,
        weight=1,
        clock=wall,
        cpu_ns=thread.monotonic_ns,
        device_ns=device_ns,
    )
    assert [d.bill.compute_us for d in run([work(1), work(3)])] == [4000, 12_000]
