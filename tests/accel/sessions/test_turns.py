"""Runs go side by side; who asks to be alone is, however busy the others are."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from plaza_accel.sessions.turns import Turns

THREADS = 4


def test_two_runs_are_inside_at_once():
    turns, both = Turns(), threading.Barrier(2)

    def run():
        with turns.one():
            both.wait(5)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(run), pool.submit(run)]:
            done.result(5)


def test_who_is_alone_meets_nobody_and_gets_the_turn_among_busy_ones():
    turns, stop, inside, met = Turns(), threading.Event(), set(), []

    def run(name):
        while not stop.is_set():
            with turns.one():
                inside.add(name)
                time.sleep(0.0002)
                inside.discard(name)

    def alone():
        for _ in range(20):
            with turns.alone():
                met.append(set(inside))
                time.sleep(0.0005)
                met.append(set(inside))

    with ThreadPoolExecutor(THREADS + 2) as pool:
        runs = [pool.submit(run, name) for name in range(THREADS)]
        try:
            for done in [pool.submit(alone), pool.submit(alone)]:
                done.result(20)
        finally:
            stop.set()
        for done in runs:
            done.result(5)
    assert met == [set()] * 80


class Door:
    """A lock that tells when somebody finds it taken."""

    def __init__(self):
        self.waited = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self):
        if not self._lock.acquire(blocking=False):
            self.waited.set()
            self._lock.acquire()

    def __exit__(self, *_):
        self._lock.release()


def test_a_thread_that_is_new_waits_for_who_is_alone():
    turns, order = Turns(), []
    turns._door = door = Door()

    def run():
        with turns.one():
            order.append("run")

    with turns.alone():
        thread = threading.Thread(target=run)
        thread.start()
        assert door.waited.wait(5)
        order.append("alone")
    thread.join(5)
    assert order == ["alone", "run"]


def test_a_failure_while_alone_lets_the_others_in():
    turns = Turns()
    with pytest.raises(ValueError, match="no number"), turns.alone():
        int("no number")
    with turns.one():
        pass
