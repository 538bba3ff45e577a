"""The arena of a process: its cap is hard, whoever passes it fails alone, and pieces are not waste.

Each case runs in a process of its own: ONNX Runtime takes one arena per process, for good.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import onnx

from plaza_accel.sessions.arena import _NOTHING

WORLD = """
import sys, tempfile, threading
from pathlib import Path
import numpy as np
from onnx import helper, numpy_helper
from benchmarks import graphs
from plaza_accel.sessions import arena
from plaza_accel.providers.cpu import provider
from plaza_accel.sessions.memory import resident_bytes
from plaza_core.errors import ModelFailed
from plaza_core.tensors import DType, TensorSpec

scratch, made, MB = Path(tempfile.mkdtemp()), [], 1 << 20

def opened(graph):
    made.append(graph)
    return provider.open(graph.write(scratch / str(len(made))), graph.parsed())

def hungry():
    '''Three tensors of 256 kB for each row.'''
    return opened(graphs.graph(
        "hungry",
        [helper.make_node("Tile", ["x", "times"], ["wide"]),
         helper.make_node("Exp", ["wide"], ["bent"]),
         helper.make_node("Mul", ["bent", "wide"], ["both"]),
         helper.make_node("ReduceMean", ["both", "axis"], ["y"])],
        [TensorSpec("x", DType.FP32, ("batch", 1024))],
        [TensorSpec("y", DType.FP32, ("batch", 1))],
        [numpy_helper.from_array(np.array([1, 64]), "times"),
         numpy_helper.from_array(np.array([1]), "axis")],
    ))

def rows(count):
    return {"x": np.zeros((count, 1024), np.float32)}

def fails(runner, count):
    try:
        runner.run(rows(count))
    except ModelFailed as error:
        return error.message
"""


def alone(body: str) -> None:
    """Run `body` after WORLD in another process; its assertions are this test's."""
    code = WORLD + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_run_that_would_pass_the_cap_fails_and_others_go_on():
    alone("""
        assert arena.share(40 * MB)
        runner, other = hungry(), opened(graphs.tiny())
        small = {"x": np.ones((1, 4), np.float32)}
        before, answer = resident_bytes(), other.run(small)["y"]
        for _ in range(3):
            assert fails(runner, 200) == "the model ran out of memory on this input"
            assert np.array_equal(other.run(small)["y"], answer)
            assert runner.run(rows(32))["y"].shape == (32, 1)
        assert resident_bytes("VmHWM") - before < 48 * MB
    """)


def test_a_neighbour_of_one_that_always_fails_never_does():
    alone("""
        assert arena.share(64 * MB)
        runner, other = hungry(), opened(graphs.conv(layers=4))
        ended, failed = threading.Event(), []
        def hog():
            while not ended.is_set():
                failed.append(fails(runner, 250))
        thread = threading.Thread(target=hog)
        thread.start()
        try:
            for count in [1, 16, 2, 8, 4] * 6:
                other.run({"image": np.zeros((count, 3, 32, 32), np.float32)})
        finally:
            ended.set()
            thread.join()
        assert failed and all(failed)
    """)


def test_memory_in_pieces_is_given_back_and_the_run_made_again():
    alone("""
        assert arena.share(40 * MB)
        runner = hungry()
        wide = opened(graphs.identity())
        for count in (4, 8, 16, 24):
            runner.run(rows(count))
        x = np.zeros((9, 1 << 20), np.float32)   # one piece of 36 of the 40 MB
        assert wide.run({"x": x})["y"].shape == x.shape
        assert not fails(runner, 24)
    """)


def test_without_the_retry_that_would_have_failed():
    alone("""
        assert arena.share(40 * MB)
        runner = hungry()
        wide = opened(graphs.identity())
        arena.give_back = lambda: True
        for count in (4, 8, 16, 24):
            runner.run(rows(count))
        x = np.zeros((9, 1 << 20), np.float32)
        try:
            wide.run({"x": x})
        except ModelFailed:
            sys.exit()
        raise AssertionError("the arena copes with pieces by itself now: drop the retry")
    """)


def test_sessions_keep_one_peak_together_not_one_each():
    alone("""
        assert arena.share(1024 * MB)
        runners = [hungry() for _ in range(6)]
        before = resident_bytes()
        for runner in runners:
            runner.run(rows(64))
        assert resident_bytes() - before < 100 * MB   # each by itself: 48
    """)


def test_what_a_closed_model_held_is_given_back():
    alone("""
        assert arena.share(1024 * MB)
        runner = hungry()
        before = resident_bytes()
        runner.run(rows(400))
        assert resident_bytes() - before > 150 * MB
        runner.close()
        assert resident_bytes() - before < 50 * MB
    """)


def test_a_process_has_one_arena_for_good():
    alone("""
        assert arena.share(64 * MB)
        assert arena.share(64 * MB)
        assert not arena.share(128 * MB)
    """)


def test_without_an_arena_there_is_nothing_to_give_back():
    alone("""
        assert not arena.shared()
        assert not arena.give_back()
        assert hungry().run(rows(200))["y"].shape == (200, 1)
    """)


def test_the_model_of_nothing_is_what_it_is_said_to_be():
    model = onnx.load_from_string(_NOTHING)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Identity"]
    assert model.ir_version == 10
