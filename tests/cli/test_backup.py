"""`plaza backup` and `plaza restore` on a state directory of this machine."""

import json

import pytest

from plaza_serving.control.main import only_one
from tests.serving.control.conftest import open_world


@pytest.fixture
def state(elsewhere, monkeypatch):
    """A hub that was bootstrapped and stopped; the commands work on it."""
    directory = elsewhere / "state"
    directory.mkdir()
    world = open_world(directory)
    world.parts.close_waits()
    world.parts.tenancy.close()
    monkeypatch.setenv("PLAZA_STATE_DIR", str(directory))
    return directory


def test_there_and_back_again(state, run, elsewhere, monkeypatch):
    made = run("--json", "backup", "hub.backup")
    assert made.code == 0, made.err
    assert json.loads(made.out)["damaged"] == []
    again = run("backup", "hub.backup")
    assert (again.code, "conflict: the file exists" in again.err) == (1, True)
    over = run("restore", "hub.backup")
    assert (over.code, "--force" in over.err) == (1, True)
    monkeypatch.setenv("PLAZA_STATE_DIR", str(elsewhere / "another"))
    assert run("restore", "hub.backup").code == 0
    assert (elsewhere / "another/plaza.db").exists()
    assert run("restore", "hub.backup", "--force").code == 0
    assert (elsewhere / "another/replaced-1/plaza.db").exists()


def test_a_hub_that_runs_is_not_restored_over(state, run):
    assert run("backup", "hub.backup").code == 0
    with only_one(state):
        assert run("backup", "while-it-runs.backup").code == 0
        refused = run("restore", "hub.backup", "--force")
    assert (refused.code, "another control process" in refused.err) == (1, True)
    assert not (state / "replaced-1").exists()


def test_a_file_that_is_missing_or_something_else(state, run, elsewhere):
    (elsewhere / "text").write_text("no backup")
    for name, message in (("text", "no whole backup"), ("absent", "No such file")):
        done = run("restore", name, "--force")
        assert (done.code, message in done.err) == (1, True)
    assert (state / "plaza.db").exists()


def test_a_server_has_tools_of_its_own(state, run, monkeypatch):
    monkeypatch.setenv("PLAZA_DATABASE_URL", "postgresql+psycopg://u@host/db")
    done = run("backup", "hub.backup")
    assert (done.code, "pg_dump" in done.err) == (1, True)
