"""A disturbed run costs its caller no more than a calm one, within limits; nothing is lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.inference import Call
from plaza_core.tensors import DType, Signature, TensorSpec
from plaza_core.testing import EchoRunner, FakeClock, TensorFamily
from plaza_serving.dataplane.batch import BatchRunner
from plaza_serving.dataplane.calibration import (
    BORNE_EVEN_US,
    BORNE_US,
    SteadyPrice,
    calibrate,
)
from tests.serving.dataplane.test_batch import work
from tests.serving.dataplane.world import make_manifest


def signature(*shape):
    one = (TensorSpec("x", DType.FP32, shape),)
    return Signature(one, one)


class Disturbed(EchoRunner):
    """Runs take what the list says, in turn, in µs."""

    def __init__(self, clock, took_us, of=None):
        super().__init__(of or make_manifest().signature_spec())
        self._clock, self._took_us = clock, iter(took_us)

    def run(self, inputs, outputs=None):
        self._clock.advance(next(self._took_us) / 1e6)
        return super().run(inputs, outputs)


def calibrated(took_us, *shape, buckets=None):
    clock = FakeClock()
    runner = Disturbed(clock, took_us, signature(*(shape or ("batch", 2))))
    return calibrate(runner, buckets or {}, clock.monotonic_ns)


def test_the_least_of_the_warm_runs_is_what_a_row_costs():
    assert calibrated([90, 30, 12, 40] + [25] * 28) == {((2,),): 12}


def test_calibration_of_a_longer_model_ends_after_40_ms():
    costs = calibrated([15_000, 14_000, 14_500])
    assert costs == {((2,),): 14_000}, "a fourth run would fail the test"


def test_a_long_run_is_not_calibrated():
    assert not calibrated([20_001])


@pytest.mark.parametrize(
    ("shape", "same"),
    [(("batch", 4), True), (("batch", "length"), False), ((3, 4), True), ((3, "batch"), False)],
)
def test_only_rows_that_are_always_the_same_work_have_a_cost(shape, same):
    assert bool(calibrated([5] * 32, *shape)) is same


def test_each_declared_shape_has_a_cost_of_its_own():
    took_us = [30] * 32 + [50, 40] * 16
    costs = calibrated(took_us, "batch", "length", buckets={"length": (8, 16)})
    assert costs == {(8,): 30, (16,): 40}


@given(
    share=st.integers(0, 100_000),
    row=st.none() | st.integers(1, 20_000),
    rows=st.integers(1, 64),
    others=st.integers(0, 64),
    borne=st.sampled_from([BORNE_US, BORNE_EVEN_US]),
)
def test_nobody_pays_more_than_was_measured_and_the_platform_bears_little(
    share, row, rows, others, borne
):
    price = SteadyPrice({} if row is None else {((2,),): row}, borne)
    own = price.own_us(share, ((2,),), rows, rows + others)
    assert own <= share
    assert share - own <= borne * rows / (rows + others)
    if row is not None:
        assert own >= min(share, row * rows)


@given(
    st.lists(st.integers(5, 210), min_size=4, max_size=4),
    st.lists(st.integers(5, 210), min_size=4, max_size=4),
)
def test_a_small_model_costs_the_same_however_disturbed_it_is(calm, busy):
    def charges(took_us):
        clock = FakeClock()
        run = BatchRunner(
            Disturbed(clock, took_us),
            TensorFamily(),
            max_batch=8,
            weight=1,
            steady=SteadyPrice({((2,),): 5}),
            clock=clock,
            cpu_ns=clock.monotonic_ns,
        )
        works = [work() for _ in took_us]
        for one in works:
            one.call = Call("r", "echo", None, tensors={"x": np.zeros((1, 2), np.float32)})
        done = [finished for one in works for finished in run([one])]
        measured = [d.bill.charge + d.bill.overrun for d in done]
        assert measured == [d.bill.compute_us for d in done] == list(took_us), "nothing is lost"
        return [d.bill.charge for d in done]

    for charge in charges(calm) + charges(busy):
        assert 5 <= charge <= 10
