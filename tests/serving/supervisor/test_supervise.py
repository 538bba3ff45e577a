"""Children come back after any death, and nothing is left after a stop."""

import asyncio
import os
import signal

import pytest

from plaza_core.clock import SystemClock
from plaza_serving.supervisor.family import Families
from plaza_serving.supervisor.process import command_line, look
from plaza_serving.supervisor.supervise import Child, Supervisor
from tests.serving.supervisor.machine import python

SLEEP = "import time; time.sleep(60)"


class Stage:
    """A supervisor with its events, driven from the test."""

    def __init__(self, tmp_path):
        self.tmp_path = tmp_path
        self.families = Families(tmp_path / "processes.json")
        self.events = []
        self.stop = asyncio.Event()
        self.task = None

    def child(self, name, code, **options):
        async def yes():
            return True

        options.setdefault("probe", yes)
        return Child(name, python(code), os.environ, self.tmp_path / f"{name}.log", **options)

    def run(self, *children):
        supervisor = Supervisor(children, self.families, SystemClock(), self.events.append)
        self.task = asyncio.create_task(supervisor.run(self.stop))

    def told(self, what, child=None):
        return [e for e in self.events if e.what == what and child in {None, e.child}]

    async def until(self, condition):
        async with asyncio.timeout(30):
            while not (value := condition()):
                assert not self.task.done(), self.task.result()
                await asyncio.sleep(0.01)
        return value

    def member(self, name, pid=None):
        family = self.families._families[name]
        return family.leader if pid is None else family.members[pid]

    async def end(self):
        self.stop.set()
        async with asyncio.timeout(30):
            await self.task


@pytest.fixture
async def stage(tmp_path, subreaper):
    one = Stage(tmp_path)
    yield one
    if one.task and not one.task.done():
        await one.end()


async def test_a_killed_child_is_started_again_at_once_and_the_other_is_not_touched(stage):
    stage.run(stage.child("control", SLEEP), stage.child("other", SLEEP))
    await stage.until(lambda: len(stage.told("ready")) == 2)
    first, other = stage.member("control"), stage.member("other")
    first.signal(signal.SIGKILL)
    await stage.until(lambda: len(stage.told("ready", "control")) == 2)
    assert stage.member("control") != first
    assert stage.member("other") == other
    (death,) = stage.told("died")
    assert death.child == "control"
    assert str(-signal.SIGKILL) in death.detail


async def test_a_stop_ends_everything_and_leaves_no_zombie(stage):
    stage.run(stage.child("control", SLEEP), stage.child("other", SLEEP))
    await stage.until(lambda: len(stage.told("ready")) == 2)
    both = [stage.member("control"), stage.member("other")]
    await stage.end()
    assert [look(one.pid) for one in both] == [None, None]
    assert {e.child for e in stage.told("stopped")} == {"control", "other"}


async def test_a_stop_during_the_start_is_obeyed(stage):
    async def never():
        return False

    stage.run(stage.child("control", SLEEP, probe=never))
    one = await stage.until(lambda: stage.told("starting") and stage.member("control"))
    await stage.end()
    assert not one.alive()


async def test_who_never_gets_ready_is_started_again(stage):
    async def never():
        return False

    stage.run(stage.child("control", SLEEP, probe=never, start_within_s=0.2))
    await stage.until(lambda: len(stage.told("starting")) == 2)
    assert "not ready" in stage.told("died")[0].detail


async def test_who_stops_answering_counts_as_dead(stage):
    answers = iter([True])

    async def once():
        return next(answers, False)

    stage.run(stage.child("control", SLEEP, probe=once, deaf_after_s=0.1))
    await stage.until(lambda: stage.told("died"))
    assert "did not answer" in stage.told("died")[0].detail


PROGRAM = """
import os, subprocess, sys
for name in ("vital.py", "helper.py"):
    subprocess.Popen([sys.executable, "-S", os.path.join({directory!r}, name)],
                     start_new_session=True)
"""


async def test_when_a_vital_process_of_a_starter_dies_its_whole_family_is_replaced(stage):
    for name in ("vital.py", "helper.py"):
        (stage.tmp_path / name).write_text(SLEEP)
    starter = PROGRAM.format(directory=str(stage.tmp_path))
    stage.run(stage.child("ray", starter, vital=("/vital.py",)))
    await stage.until(lambda: stage.told("ready"))
    members = await stage.until(lambda: _both(stage))
    vital = next(m for m in members if _runs(m, "vital.py"))
    helper = next(m for m in members if _runs(m, "helper.py"))
    vital.signal(signal.SIGKILL)
    await stage.until(lambda: len(stage.told("ready")) == 2)
    assert not helper.alive()
    assert "vital.py" in stage.told("died")[0].detail


def _both(stage):
    found = list(stage.families._families["ray"].members.values())
    return found if len(found) == 2 else None


def _runs(member, name):
    return any(word.endswith(name) for word in command_line(member.pid))


async def test_a_starter_that_fails_is_reported_with_its_status_and_tried_again(stage):
    stage.run(stage.child("ray", "raise SystemExit(3)", vital=("/vital.py",)))
    await stage.until(lambda: len(stage.told("starting")) == 3)
    assert "status 3" in stage.told("died")[0].detail


async def test_a_starter_whose_program_is_missing_afterwards_is_reported(stage):
    stage.run(stage.child("ray", "pass", vital=("/vital.py",)))
    await stage.until(lambda: stage.told("died"))
    assert "vital.py died during the start" in stage.told("died")[0].detail


async def test_a_program_that_does_not_exist_stops_the_supervisor_with_its_error(stage):
    child = Child("control", ["/does/not/exist"], {}, stage.tmp_path / "log", probe=None)
    stage.run(child)
    with pytest.raises(ExceptionGroup) as raised:
        await stage.task
    assert isinstance(raised.value.exceptions[0], FileNotFoundError)


CROWD = """
import os, subprocess, sys
place = {directory!r}
def start(name):
    subprocess.Popen([sys.executable, "-S", os.path.join(place, name)], start_new_session=True)
os.mkfifo(os.path.join(place, "between"))
start("vital.py")
start("behind.py")
for _ in range(60):
    subprocess.Popen(["sleep", "60"], start_new_session=True)
start("front.py")
"""
BEHIND = "import time; held = open({directory!r} + '/between', 'w'); time.sleep(60)"
FRONT = """
import pathlib, signal, sys, time
place = pathlib.Path({directory!r})
def leave(*_):
    (place / "finished").touch()
    if {leaves}:
        sys.exit()
signal.signal(signal.SIGUSR1, leave)
with open(place / "between") as behind:
    (place / "connected").touch()
    behind.read()
(place / "left alone").touch()
time.sleep(60)
"""


@pytest.mark.parametrize("leaves", [True, False])
async def test_after_a_crash_the_front_finishes_and_ends_before_what_stands_behind_it(
    stage, leaves
):
    place = stage.tmp_path
    (place / "vital.py").write_text(SLEEP)
    (place / "behind.py").write_text(BEHIND.format(directory=str(place)))
    (place / "front.py").write_text(FRONT.format(directory=str(place), leaves=leaves))
    starter = CROWD.format(directory=str(place))
    front = {"front": "/front.py", "front_grace_s": 20.0 if leaves else 0.2}
    stage.run(stage.child("ray", starter, vital=("/vital.py",), **front))
    await stage.until((place / "connected").exists)
    family = stage.families._families["ray"]
    vital = await stage.until(lambda: [m for m in family.alive() if _runs(m, "vital.py")])
    vital[0].signal(signal.SIGKILL)
    await stage.until(lambda: stage.told("died"))
    await stage.until(lambda: not family.alive())
    assert (place / "finished").exists()
    assert not (place / "left alone").exists()
