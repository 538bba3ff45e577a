"""A version in a cell answers as it would outside, and whatever it does is its own business."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import graphs, unruly
from plaza_accel.providers.cpu import CpuProvider
from plaza_accel.sandbox.confinement import sandbox_support
from plaza_core.errors import (
    CellDied,
    DeadlineExceeded,
    InvalidInput,
    InvalidTensor,
    ModelFailed,
    Quarantined,
)
from plaza_core.tensors import DType
from plaza_models.tasks import ClassifyTask

SUPPORT = sandbox_support()


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] in "ZX"
    except OSError:
        return True


def until(holds, seconds=10.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


# ── it answers ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("kind", [DType.FP32, DType.BOOL, DType.INT64, DType.FP16, DType.BYTES])
def test_outputs_are_the_same_as_outside(prison, kind):
    random = np.random.default_rng(1)
    x = random.integers(0, 2, (3, 5)).astype(np.dtype(np.bool_))
    if kind is DType.BYTES:
        x = np.array([[b"", b"a\0b"], ["ü".encode() * 300, b"z"]], dtype=object)
    elif kind is not DType.BOOL:
        x = x.astype({DType.FP32: "<f4", DType.INT64: "<i8", DType.FP16: "<f2"}[kind])
    answer = prison(graphs.identity(kind)).runner.run({"x": x})
    assert answer["y"].dtype == x.dtype
    assert np.array_equal(answer["y"], x)


def test_large_tensors_pass_and_their_pages_are_given_back(prison, bundle):
    graph = graphs.conv()
    outside = CpuProvider().open(*bundle(graph))
    x = np.random.default_rng(2).random((8, 3, 32, 32), np.float32)
    opened = prison(graph)
    assert np.array_equal(
        opened.runner.run({"image": x})["scores"], outside.run({"image": x})["scores"]
    )
    wide = prison(graphs.identity())
    x = np.ones((4, 1 << 20), np.float32)
    assert np.array_equal(wide.runner.run({"x": x})["y"], x)
    shared = Path(f"/proc/{wide.runner.pid}/status").read_text().split("RssShmem:")[1].split()[0]
    assert int(shared) < 100  # kB, of 32 MB that passed


def test_inputs_are_refused_before_they_travel(prison):
    opened = prison()
    with pytest.raises(InvalidTensor):
        opened.runner.run({"x": np.zeros((1, 4), ">f4")})
    with pytest.raises(InvalidTensor):
        opened.runner.run({"x": np.zeros((1, 4), np.float32)}, ["z"])


def test_a_task_is_prepared_and_interpreted_inside(prison):
    opened = prison()
    said = opened.ask("sum", 3)
    assert said["pid"] == opened.runner.pid != os.getpid()


def comes_to(opened, command, bound):
    """Whether so many threads of the cell are soon bound to one processor, while it is asked."""
    for _ in range(500):
        if command == "linger":
            opened.family.prepare(ClassifyTask((command,)))
        else:
            opened.ask(command)
        if sum(len(os.sched_getaffinity(task)) == 1 for task in threads_of(opened)) == bound:
            return True
    return False


def threads_of(opened):
    return [int(task.name) for task in Path(f"/proc/{opened.runner.pid}/task").iterdir()]


several_processors = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2,
    reason="this process may use one processor only, to which every thread is bound anyway",
)


@several_processors
def test_only_while_calls_are_short_caller_and_cell_share_a_processor(prison):
    opened, mine = prison(), os.sched_getaffinity(0)
    assert comes_to(opened, "sum", bound=1), "the thread of the channel in use"
    assert os.sched_getaffinity(0) == mine, "who asks is bound only while it waits"
    assert comes_to(opened, "linger", bound=0)
    assert comes_to(opened, "sum", bound=1)


@several_processors
def test_cells_do_not_crowd_on_the_same_processors(prison):
    """With channels of the same kind everywhere, the one that is used first is the same in each."""

    def crowded(opened):
        assert comes_to(opened, "sum", bound=1)
        return [cpus for cpus in map(os.sched_getaffinity, threads_of(opened)) if len(cpus) == 1]

    first, second = crowded(prison()), crowded(prison())
    assert first != second


def test_what_a_family_refuses_arrives_in_plain_and_bounded_words(prison):
    with pytest.raises(InvalidInput) as refused:
        prison().ask("refuse")
    assert refused.value.input == "texts[0]"
    assert refused.value.message.isprintable()
    assert len(refused.value.message) <= 300


def test_a_fault_of_a_family_is_no_crash(prison):
    opened = prison()
    with pytest.raises(InvalidInput):
        opened.ask("fail")
    assert opened.ask("sum")["pid"] == opened.runner.pid


# ── it has nothing ───────────────────────────────────────────────────────────────────────────────
def test_a_cell_has_no_descriptor_no_secret_and_no_way_out(prison, monkeypatch, tmp_path):
    monkeypatch.setenv("PLAZA_API_KEY", "hub_secret")
    monkeypatch.setenv("https_proxy", "http://proxy")
    with (tmp_path / "spool").open("w") as spool:
        os.set_inheritable(spool.fileno(), True)
        found = prison().ask("look")
    allowed = {
        "LANG", "LC_CTYPE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ORT_DISABLE_TELEMETRY",
        "PYTHONPATH", "MALLOC_ARENA_MAX",
    }  # fmt: skip
    assert set(found["environment"]) <= allowed
    kinds = {number: target.split(":")[0] for number, target in found["descriptors"].items()}
    assert [kinds.pop(number) for number in "012"] == ["/dev/null"] * 3
    assert sorted(kinds.values()) == ["/memfd"] * 2 + ["pipe"] * 4  # of two channels
    assert found["cwd"] == "/"
    assert found["read outside"] == "PermissionError"
    assert found["write"] == "PermissionError"
    assert found["connect"] != "done"
    assert found["connect"] != "ConnectionRefusedError"
    assert found["signal the parent"] == "PermissionError"


@pytest.mark.skipif(not SUPPORT["system_calls_filtered"], reason="no such filter on this machine")
def test_a_cell_starts_no_process_and_makes_no_socket(prison):
    found = prison().ask("look")
    ways = ("fork", "run a program", "make a socket")
    assert {way: found[way] for way in ways} == dict.fromkeys(ways, "PermissionError")


@pytest.mark.skipif(not SUPPORT["own_user"], reason="only root can give a cell a user of its own")
def test_each_cell_is_a_user_of_its_own_with_few_threads(prison):
    found = [prison().ask("look") for _ in range(2)]
    assert len({os.getuid(), *(each["user"] for each in found)}) == 3
    assert all(8 < each["more threads"] < 40 for each in found)


def test_one_process_is_one_version_of_one_organisation(prison):
    a, b, c = prison(), prison(organisation="org_b"), prison()
    pids = [each.ask("sum")["pid"] for each in (a, b, c)]
    assert len(set(pids)) == 3
    assert prison.cells.running() == dict(zip(pids, ["org_a", "org_b", "org_a"], strict=True))


def test_a_cell_has_the_priority_of_the_replica_not_of_its_loader(prison):
    found = {}

    def load():
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        found["it"] = prison()

    loader = threading.Thread(target=load)
    loader.start()
    loader.join()
    found = found["it"].ask("look")  # and it outlives the thread that asked for it
    assert found["nice"] == os.getpriority(os.PRIO_PROCESS, 0)


# ── its crashes are its own ──────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("way", ["crash", "leave", "lie", "eat slowly"])
def test_a_crash_takes_down_nothing_but_its_cell(prison, way):
    neighbour, culprit = prison(organisation="org_b"), prison()
    x = {"x": np.ones((1, 4), np.float32)}
    expected, served, stop = neighbour.runner.run(x)["y"], [], threading.Event()

    def keep_asking():
        while not stop.is_set():
            served.append(np.array_equal(neighbour.runner.run(x)["y"], expected))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        with pytest.raises(CellDied) as died:
            culprit.ask(way)
        at_death = len(served)
        until(lambda: len(served) > at_death + 20)
    finally:
        stop.set()
        asking.join()
    assert all(served)
    assert died.value.retry_after
    assert culprit.runner.ended
    assert not neighbour.runner.ended
    until(lambda: gone(culprit.runner.pid))
    with pytest.raises(CellDied):
        culprit.runner.run(x)


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="other processors divide without a fault"
)
def test_a_graph_that_its_processor_ends_takes_nobody_along(prison):
    """Nothing but ONNX: what the examination saw of it was in order."""
    opened = prison(unruly.overflow())
    assert opened.runner.run({"x": np.array([5, -7])})["y"].tolist() == [-5, 7]
    with pytest.raises(CellDied):
        opened.runner.run({"x": np.array([unruly.LEAST])})
    assert opened.runner.ended


def test_an_output_of_another_datatype_ends_the_cell(prison):
    opened = prison()
    with pytest.raises(CellDied):
        opened.ask("twist")
    assert opened.runner.ended


def test_a_process_that_dies_between_requests_is_noticed(prison):
    opened = prison()
    os.kill(opened.runner.pid, signal.SIGKILL)
    until(lambda: opened.runner.ended)


def test_a_cell_that_computes_for_itself_is_ended(prison):
    opened = prison()
    opened.ask("spin")
    until(lambda: opened.runner.ended, 30)


def test_two_crashes_put_a_version_out_by_digest_wherever_it_is_used(prison):
    for _ in range(2):
        with pytest.raises(CellDied):
            prison(digest="d" * 64).ask("crash")
    with pytest.raises(Quarantined) as out:
        prison(digest="d" * 64, organisation="org_b")
    assert 0 < out.value.retry_after <= 60
    assert prison(digest="e" * 64).ask("sum")


def test_a_crash_while_it_is_opened_counts(prison):
    for _ in range(2):
        with pytest.raises(CellDied):
            prison(digest="d" * 64, at_once="crash")
    with pytest.raises(Quarantined):
        prison(digest="d" * 64)


# ── time and memory ──────────────────────────────────────────────────────────────────────────────
def test_a_run_is_stopped_at_its_deadline_and_the_cell_lives_on(prison):
    opened = prison(unruly.turns())
    x = {"turns": np.array([2**62]), "x": np.ones(1, np.float32)}
    begin = time.monotonic()
    opened.runner.bound(time.monotonic_ns() + 200_000_000)
    with pytest.raises(DeadlineExceeded):
        opened.runner.run(x)
    assert 0.15 < time.monotonic() - begin < 0.65
    opened.runner.bound(time.monotonic_ns() + 10_000_000_000)
    assert opened.runner.run({**x, "turns": np.array([3])})["y"] == -1
    assert not opened.runner.ended


def test_what_does_not_stop_at_its_deadline_is_killed(prison):
    opened = prison()
    begin = time.monotonic()
    opened.runner.bound(time.monotonic_ns() + 200_000_000)
    with pytest.raises(CellDied):
        opened.ask("hang")
    assert 0.6 < time.monotonic() - begin < 2
    until(lambda: gone(opened.runner.pid))


def test_who_waits_for_a_cell_that_ends_is_told_at_once(make_prison):
    """Not at a deadline of its own, which may be minutes away."""
    opened, told = make_prison(channels=1)(unruly.turns()), []
    x = {"turns": np.array([2**62]), "x": np.ones(1, np.float32)}

    def ask():
        with pytest.raises(CellDied) as died:
            opened.runner.run(x)
        told.append(died.value)

    callers = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
    for caller in callers:
        caller.start()
    others = opened.runner._line.cell._free.not_empty._waiters
    until(lambda: len(others) == 3)
    os.kill(opened.runner.pid, signal.SIGKILL)
    until(lambda: len(told) == 4, 3)


def test_nothing_is_begun_after_its_deadline(prison):
    opened = prison()
    opened.runner.bound(time.monotonic_ns())
    with pytest.raises(DeadlineExceeded):
        opened.ask("crash")
    assert not opened.runner.ended


def test_a_run_that_wants_more_than_the_cap_fails_alone(prison):
    opened = prison(unruly.vast())
    assert opened.runner.run({"x": np.array([10])})["y"] == 0
    with pytest.raises(ModelFailed):
        opened.runner.run({"x": np.array([1 << 36])})
    assert opened.runner.run({"x": np.array([10])})["y"] == 0


def test_a_family_that_takes_all_memory_at_once_finds_none(prison):
    opened = prison()
    with pytest.raises((ModelFailed, CellDied)):
        opened.ask("eat")


def test_what_is_weighed_is_the_cap(prison, bundle):
    directory, manifest = bundle(graphs.tiny())
    entry = prison.entry(manifest).model_copy(update={"resident_bytes": 100 << 20})
    assert prison.cells.weigh(directory, entry) == (80 + 200 + 64) << 20


# ── metering ─────────────────────────────────────────────────────────────────────────────────────
def test_what_a_run_cost_is_close_to_what_it_costs_outside(prison, bundle):
    graph = graphs.conv()
    outside = CpuProvider().open(*bundle(graph))
    opened, x = prison(graph), {"image": np.zeros((1, 3, 32, 32), np.float32)}

    def cost(run, clock):
        begin = clock()
        run(x)
        return clock() - begin

    def least(run, clock):
        return min(cost(run, clock) for _ in range(20))

    inside = least(opened.runner.run, opened.runner.cpu_ns)
    assert 0.7 < inside / least(outside.run, time.thread_time_ns) < 1.4


# ── ends ─────────────────────────────────────────────────────────────────────────────────────────
def test_closing_a_version_ends_its_process(prison):
    opened = prison()
    opened.runner.close()
    until(lambda: gone(opened.runner.pid))
    until(lambda: not prison.cells.running())


def test_cells_end_with_a_replica_that_is_killed(bundle):
    directory, _ = bundle(graphs.tiny())
    script = (
        "import sys, time; from pathlib import Path;"
        "from plaza_accel.cells.keeper import *;"
        "from plaza_core.clock import SystemClock;"
        "from plaza_core.manifest import parse_manifest;"
        "from plaza_core.table import VersionEntry;"
        "d = Path(sys.argv[1]); m = parse_manifest((d / 'plaza.yaml').read_text());"
        "p = Point('plaza_models.tensor:open_family', {});"
        "c = CellKeeper(CellOptions(1, 0, 0, 'plaza_models.tasks'), lambda _: p, SystemClock());"
        "e = VersionEntry(version=1, digest='d', manifest=m, files=[]);"
        "print(c.open(d, e, 'org_a')[0].pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as replica:
        pid = int(replica.stdout.readline())
        assert not gone(pid)
        replica.kill()
    until(lambda: gone(pid))
