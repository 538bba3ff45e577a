"""Device time is told once, in full, and not for waiting: in memory, then on real sessions."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import graphs
from plaza_accel.contract.metering import EXCLUSIVE, OF_THREAD, DeviceClock, Metering
from plaza_accel.providers import cann, cpu, cuda, openvino, tensorrt
from plaza_core.errors import ModelFailed
from plaza_core.tensors import Signature

RUN_NS = 7_000


class Wall:
    """A clock on the wall that a run moves on."""

    def __init__(self):
        self.ns = 0

    def __call__(self):
        return self.ns


class Slow:
    """Takes `RUN_NS` of the wall; counts how many runs are inside at once."""

    signature = Signature((), ())
    provider = "slow"
    resident_bytes = 0

    def __init__(self, wall=None, pause_s=0.0, fails=False):
        self.wall, self.pause_s, self.fails = wall or Wall(), pause_s, fails
        self.inside, self.most = 0, 0
        self._count = threading.Lock()

    def run(self, inputs, outputs=None):
        with self._count:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(self.pause_s)
        with self._count:
            self.inside -= 1
            self.wall.ns += RUN_NS
        if self.fails:
            raise ModelFailed("on purpose")
        return {}

    def close(self):
        self.closed = True


def at_once(clock, runner, threads):
    """What each of several threads was told for one run."""
    metered, device_ns = clock.meter(runner)
    told, start = [], threading.Barrier(threads)

    def work():
        start.wait()
        metered.run({})
        told.append(device_ns())

    made = [threading.Thread(target=work) for _ in range(threads)]
    for thread in made:
        thread.start()
    for thread in made:
        thread.join()
    return told


def test_what_computes_on_the_calling_thread_is_told_by_it_and_not_slowed():
    runner = Slow()
    metered, device_ns = DeviceClock(OF_THREAD, thread_ns=lambda: 42).meter(runner)
    assert (metered is runner, device_ns()) == (True, 42)


@given(threads=st.integers(1, 64), runs=st.integers(1, 5))
def test_the_wall_counts_for_each_thread_that_a_run_keeps_busy(threads, runs):
    wall = Wall()
    metered, device_ns = DeviceClock(Metering(threads), wall_ns=wall).meter(Slow(wall))
    for _ in range(runs):
        metered.run({})
    assert device_ns() == runs * RUN_NS * threads


def test_a_run_that_fails_has_taken_its_time_too_and_gives_its_turn_back():
    wall = Wall()
    metered, device_ns = DeviceClock(EXCLUSIVE, wall_ns=wall).meter(Slow(wall, fails=True))
    for _ in range(2):
        with pytest.raises(ModelFailed):
            metered.run({})
    assert device_ns() == 2 * RUN_NS


def test_two_workers_on_one_device_are_never_told_the_same_microsecond():
    """Together they are told what the wall shows; who waited is told nothing for it."""
    runner, began = Slow(pause_s=0.02), time.monotonic_ns()
    told = at_once(DeviceClock(EXCLUSIVE), runner, threads=3)
    took = time.monotonic_ns() - began
    assert runner.most == 1
    assert sum(told) <= took
    assert min(told) >= 20_000_000


def test_models_of_one_replica_share_its_device():
    clock, slow = DeviceClock(EXCLUSIVE), Slow(pause_s=0.01)
    one, _ = clock.meter(slow)
    other, _ = clock.meter(slow)
    threads = [threading.Thread(target=r.run, args=({},)) for r in (one, other, one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert slow.most == 1


def test_a_device_of_two_streams_takes_two_runs_at_a_time():
    slow = Slow(pause_s=0.05)
    at_once(DeviceClock(Metering(threads=1, at_once=2)), slow, threads=4)
    assert slow.most == 2


HOLDER = """
import sys, time
from pathlib import Path
from plaza_accel.contract.metering import EXCLUSIVE, DeviceClock
with DeviceClock(EXCLUSIVE, shared=Path(sys.argv[1])).turn():
    print("mine", flush=True)
    sys.stdin.readline()
    print(time.monotonic_ns(), flush=True)
"""


@contextmanager
def held_by_another(lock):
    """The other replica is a process of its own, as Ray would start it; it holds on until told."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"mine\n"
        yield other


def waited_for(file):
    """Whether somebody waits for the lock on this file, by the kernel's list."""
    inode = f":{file.stat().st_ino} "
    waits = (line for line in Path("/proc/locks").read_text().splitlines() if "->" in line)
    return any(inode in line for line in waits)


def test_replicas_with_a_part_of_one_device_each_take_turns_too(tmp_path):
    lock, wall, told = tmp_path / "run" / "device.lock", Wall(), []
    clock = DeviceClock(EXCLUSIVE, wall_ns=wall, shared=lock)
    metered, device_ns = clock.meter(Slow(wall))

    def work():
        metered.run({})
        told.extend([time.monotonic_ns(), device_ns()])

    with held_by_another(lock) as other:
        thread = threading.Thread(target=work)
        thread.start()
        give_up = time.monotonic() + 10
        while not waited_for(lock):
            assert time.monotonic() < give_up, "nobody waits"
        wall.ns += 300_000_000
        let_go = int(other.communicate(b"\n")[0])
        thread.join(10)
    assert let_go <= told[0]
    assert told[1] == RUN_NS, "of 300 ms that it waited, nothing"
    assert other.returncode == 0


def test_a_replica_that_is_killed_lets_go_of_the_device(tmp_path):
    lock = tmp_path / "device.lock"
    with held_by_another(lock) as other:
        other.kill()
    metered, _ = DeviceClock(EXCLUSIVE, shared=lock).meter(Slow())
    metered.run({})


def test_every_provider_states_how_it_is_told():
    assert cpu.provider.metering == OF_THREAD
    assert cpu.provider.with_options({"intra_op": 4}).metering == Metering(4, at_once=None)
    assert openvino.provider.metering == OF_THREAD
    for options, stated in (
        ({"num_of_threads": 4}, Metering(4, at_once=1)),
        ({"num_of_threads": 4, "num_streams": 2}, Metering(2, at_once=2)),
        ({"num_of_threads": 5, "num_streams": 2}, Metering(3, at_once=2)),
        ({"num_of_threads": 2, "num_streams": 8}, Metering(1, at_once=2)),
        ({"device_type": "GPU", "num_of_threads": 4, "num_streams": 2}, EXCLUSIVE),
    ):
        assert openvino.provider.with_options(options).metering == stated, options
    for one in (cuda.provider, tensorrt.provider, cann.provider):
        assert one.metering == EXCLUSIVE


@pytest.mark.parametrize("wrong", [{"threads": -1}, {"at_once": 0}])
def test_a_statement_that_means_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="counted"):
        Metering(**wrong)


def test_work_on_other_threads_is_charged_for(bundle):
    """The fault this is against: with two threads a run's helper was nobody's."""
    provider = cpu.provider.with_options({"intra_op": 2})
    runner = provider.open(*bundle(graphs.conv(layers=4)))
    inputs = {s.name: np.ones((8, *s.shape[1:]), np.float32) for s in runner.signature.inputs}
    metered, device_ns = DeviceClock(provider.metering).meter(runner)
    told, began = device_ns(), time.process_time_ns()
    for _ in range(40):
        metered.run(inputs)
    assert device_ns() - told >= 0.95 * (time.process_time_ns() - began)
