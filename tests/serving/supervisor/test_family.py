"""No descendant is lost: not orphans, not those who ignore SIGTERM, not what a killed run left."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plaza_serving.supervisor.family import MARK, Families, Family, leftovers, reap
from plaza_serving.supervisor.process import Identity, boot_id, collect, look, spawn
from tests.serving.supervisor.machine import python, wait_for

SLEEP = "import time; time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
STARTER = """
import subprocess, sys
one = subprocess.Popen([sys.executable, "-S", "-c", {code!r}], start_new_session=True)
print(one.pid, flush=True)
"""


@pytest.fixture
def families(tmp_path, subreaper):
    return Families(tmp_path / "processes.json")


def start(families, tmp_path, code, *, name="one", keeps_orphans=True):
    mark = f"{name}:{os.urandom(8).hex()}"
    leader = spawn(
        python(code), {**os.environ, MARK: mark}, tmp_path / f"{name}.log", dies_with_parent=False
    )
    family = Family(name, mark, leader, keeps_orphans=keeps_orphans)
    families.add(family)
    return family


def orphan_of(family, tmp_path):
    """The pid that a STARTER printed, once the starter is gone."""
    wait_for(lambda: not family.leader.alive())
    collect(family.leader)
    return int((tmp_path / f"{family.name}.log").read_text())


def end(families, family, grace_s=2.0):
    def members():
        families.refresh()
        return family.members.values()

    return reap(members, grace_s)


def test_a_census_is_due_when_one_of_ours_came_or_went_and_not_for_strangers(families, tmp_path):
    told = tmp_path / "told"
    os.mkfifo(told)  # whoever reads it waits for who writes
    waiting = f"open({str(told)!r}).read()\n"
    family = start(families, tmp_path, waiting + STARTER.format(code=SLEEP) + SLEEP)
    families.stirred()
    stranger = subprocess.Popen(python("pass"))  # before: nothing of ours
    stranger.wait()
    assert not families.stirred()
    told.write_text("begin")
    wait_for(families.stirred)  # the parent has started somebody
    families.refresh()
    assert len(family.members) == 2
    assert not families.stirred()
    family.leader.signal(signal.SIGKILL)
    wait_for(families.stirred)
    assert end(families, family)


def test_what_a_starter_leaves_behind_stays_in_the_family_and_is_reaped(families, tmp_path):
    family = start(families, tmp_path, STARTER.format(code=SLEEP))
    orphan = orphan_of(family, tmp_path)
    families.refresh()
    assert list(family.members) == [orphan]
    assert end(families, family)
    assert not family.alive()


def test_what_this_process_started_before_belongs_to_no_family(tmp_path, subreaper):
    before = subprocess.Popen([sys.executable, "-S", "-c", SLEEP])
    try:
        families = Families(tmp_path / "processes.json")
        family = start(families, tmp_path, SLEEP)
        families.refresh()
        assert list(family.members) == [family.leader.pid]
        assert end(families, family)
        assert before.poll() is None
    finally:
        before.kill()
        before.wait()


def test_an_orphan_is_given_to_the_family_whose_mark_it_carries(families, tmp_path):
    other = start(families, tmp_path, SLEEP, name="other")
    family = start(families, tmp_path, STARTER.format(code=SLEEP), keeps_orphans=False)
    orphan = orphan_of(family, tmp_path)
    families.refresh()
    assert orphan in family.members
    assert list(other.members) == [other.leader.pid]
    assert end(families, family)
    assert other.leader.alive()
    assert end(families, other)


def test_who_ignores_sigterm_is_killed_after_the_grace(families, tmp_path):
    family = start(families, tmp_path, STUBBORN)
    wait_for(lambda: _ignores_sigterm(family.leader.pid))
    assert end(families, family, grace_s=0.2)
    assert not family.leader.alive()


def _ignores_sigterm(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    ignored = next(line.split()[1] for line in lines if line.startswith("SigIgn"))
    return int(ignored, 16) & 1 << (signal.SIGTERM - 1)


def test_dead_members_leave_no_zombie(families, tmp_path):
    family = start(families, tmp_path, STARTER.format(code="pass"))
    orphan = orphan_of(family, tmp_path)

    def forgotten():
        families.refresh()
        families.collect_dead()
        return look(orphan) is None and orphan not in family.members

    wait_for(forgotten)


def test_the_next_start_finds_what_a_killed_supervisor_left(tmp_path):
    record = tmp_path / "processes.json"
    supervisor = f"""
import os, pathlib, sys, time
sys.path[:0] = {sys.path!r}
from plaza_serving.supervisor.family import Families
from tests.serving.supervisor.test_family import STARTER, SLEEP, start
families = Families(pathlib.Path({str(record)!r}))
start(families, pathlib.Path({str(tmp_path)!r}), STARTER.format(code=SLEEP) + SLEEP)
print("ready", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", supervisor], stdout=subprocess.PIPE)
    with process:
        process.stdout.readline()
        log = tmp_path / "one.log"
        wait_for(lambda: log.exists() and log.read_text())
        process.kill()
    # The leader is recorded; its child is below it, though no census ever saw it.
    found = leftovers(record)
    assert len(found) == 2
    assert int(log.read_text()) in {one.pid for one in found}
    assert reap(lambda: leftovers(record), grace_s=2.0)
    assert leftovers(record) == []


def test_a_recorded_pid_that_somebody_else_has_now_is_left_alone(families, tmp_path):
    family = start(families, tmp_path, SLEEP)
    record = tmp_path / "old.json"
    old = {
        "name": "one",
        "mark": "none",
        "members": [[family.leader.pid, family.leader.started - 1]],
    }
    record.write_text(json.dumps({"boot": boot_id(), "families": [old]}))
    assert leftovers(record) == []
    assert end(families, family)


def test_a_record_of_an_earlier_boot_means_nothing(tmp_path):
    me = Identity(os.getpid(), 0)
    record = tmp_path / "old.json"
    family = {"name": "one", "mark": "none", "members": [[me.pid, me.started]]}
    record.write_text(json.dumps({"boot": "another", "families": [family]}))
    assert leftovers(record) == []
    assert leftovers(tmp_path / "missing.json") == []
