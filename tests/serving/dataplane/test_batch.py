"""What a batch runner joins, and when it stops joining."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.ids import RequestId
from plaza_core.inference import Call
from plaza_core.testing import EchoRunner, FakeClock, TensorFamily
from plaza_serving.dataplane.batch import BatchRunner, join_ns
from plaza_serving.dataplane.catalogue import Resolved
from plaza_serving.dataplane.work import Work
from tests.serving.dataplane.world import make_manifest, make_model


class SlowRunner(EchoRunner):
    """Every row takes `row_s` on the test's clock."""

    def __init__(self, signature, clock, row_s):
        super().__init__(signature)
        self._clock, self._row_s = clock, row_s

    def run(self, inputs, outputs=None):
        self._clock.advance(self._row_s * len(inputs["x"]))
        return super().run(inputs, outputs)


def work(rows=1, width=2):
    model = make_model()
    tensors = {"x": np.zeros((rows, width), np.float32)}
    return Work(
        call=Call(RequestId("r"), "echo", None, tensors=tensors),
        principal=None,
        target=Resolved(model, model.versions[0]),
        provider="echo",
        deadline_ns=0,
        admitted_ns=0,
        admitted_unix_us=0,
        future=None,
    )


@pytest.mark.parametrize(
    ("row_s", "join_us", "worth"),
    [
        (0.005, 2000, 1),  # a heavy model runs alone
        (0.0005, 2000, 4),
        (0.000004, 2000, 8),  # a tiny one joins up to its own limit
        (0.005, 0, 8),  # 0 switches the rule off
    ],
)
def test_requests_are_joined_while_the_run_stays_short(row_s, join_us, worth):
    clock = FakeClock()
    signature = make_manifest(max_batch=8).signature_spec()
    runner = SlowRunner(signature, clock, row_s)
    run = BatchRunner(
        runner,
        TensorFamily(),
        max_batch=8,
        weight=1,
        join_ns=join_us * 1000,
        clock=clock,
        cpu_ns=clock.monotonic_ns,
    )
    assert run.worth_joining() == 8, "nothing is known yet"
    run([work()])
    assert run.worth_joining() == worth


def test_a_model_without_a_batch_axis_is_never_joined():
    signature = make_manifest(batched=False).signature_spec()
    run = BatchRunner(
        EchoRunner(signature), TensorFamily(), max_batch=8, weight=1, clock=FakeClock()
    )
    assert run.worth_joining() == 1


def test_compute_is_weighted_and_shared_by_rows():
    clock = FakeClock()
    signature = make_manifest().signature_spec()
    runner = SlowRunner(signature, clock, 0.001)
    run = BatchRunner(
        runner, TensorFamily(), max_batch=8, weight=3, clock=clock, cpu_ns=clock.monotonic_ns
    )
    done = run([work(1), work(3)])
    assert [d.bill.compute_us for d in done] == [3000, 9000]


@pytest.mark.parametrize(
    ("row_s", "told"),
    [
        (0.003, [1, 2]),  # each run is long: whoever has an answer gets it before the next begins
        (0.0008, [3]),  # two short ones are told of together
        (0.0001, []),
    ],
)
def test_answers_do_not_wait_for_long_runs_of_others_in_their_batch(row_s, told):
    clock, early = FakeClock(), []
    signature = make_manifest().signature_spec()
    runner = SlowRunner(signature, clock, row_s)
    run = BatchRunner(runner, TensorFamily(), max_batch=8, weight=1, clock=clock)
    works = [work(1, width) for width in (2, 3, 3, 4)]
    rest = run(works, early.append)
    assert [len(part) for part in early] == told
    assert {id(done.work) for part in [*early, rest] for done in part} == {id(w) for w in works}
    assert sum(map(len, early)) + len(rest) == len(works)


class Affine(EchoRunner):
    """A run takes `once_us`, and `row_us` for each row: an accelerator likes large batches."""

    def __init__(self, signature, clock, once_us, row_us):
        super().__init__(signature)
        self._clock, self._once_us, self._row_us = clock, once_us, row_us
        self.took_us = 0

    def run(self, inputs, outputs=None):
        self.took_us = self._once_us + self._row_us * len(inputs["x"])
        self._clock.advance(self.took_us / 1e6)
        return super().run(inputs, outputs)


@given(st.integers(10, 4000), st.integers(10, 2000), st.integers(1, 100), st.integers(1, 600))
def test_a_backlog_is_joined_up_to_what_the_latency_target_allows(once, row, target_ms, first):
    """In µs. However the load began, and without waiting for anybody. Where a run costs less than a
    tenth of a row, fewer may be joined, or nobody."""
    clock = FakeClock()
    signature = make_manifest(max_batch=512).signature_spec()
    runner = Affine(signature, clock, once, row)
    run = BatchRunner(
        runner,
        TensorFamily(),
        max_batch=512,
        weight=1,
        join_ns=join_ns(0, target_ms * 1000),
        clock=clock,
        cpu_ns=clock.monotonic_ns,
    )
    run([work(min(first, run.worth_joining()))])
    sizes = []
    for _ in range(160):  # as many wait as may be joined
        sizes.append(run.worth_joining())
        run([work(sizes[-1])])
    best = max(1, min(512, (target_ms * 500 - once) // row))
    assert max(sizes[-32:]) <= best + 1
    assert once < 0.12 * row or sorted(sizes[-32:])[16] >= 0.9 * best - 1


@pytest.mark.parametrize(("once", "usual"), [(50, 1), (2_000, 22)])
def test_nobody_waits_for_company_that_saves_nothing(once, usual):
    """Runs of 5 ms a row, of which a latency target of 250 ms allows many. Whatever waits may be
    joined for a moment now and then, to see whether that is still so."""
    clock = FakeClock()
    runner = Affine(make_manifest(max_batch=32).signature_spec(), clock, once, 5_000)
    run = BatchRunner(
        runner, TensorFamily(), max_batch=32, weight=1, join_ns=125_000_000, clock=clock
    )
    sizes = []
    for number in range(200):
        sizes.append(min(run.worth_joining(), 1 + number % 30))
        run([work(sizes[-1])])
    settled = sizes[40:]
    assert sum(size > 1 for size in settled) <= 3 if usual == 1 else max(settled) > usual


@pytest.mark.parametrize(
    ("join_us", "target_us", "allowed"),
    [(0, None, 0), (12_000, None, 12_000_000), (0, 8000, 4_000_000), (12_000, 8000, 4_000_000)],
)
def test_half_of_a_latency_target_is_for_the_run(join_us, target_us, allowed):
    assert join_ns(join_us, target_us) == allowed
