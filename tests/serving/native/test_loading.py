"""What is compiled is used where it is of the very sources at hand, and nowhere else."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from plaza_serving.native import __main__ as program
from plaza_serving.native import building, loading
from plaza_serving.native.loading import MANIFEST, PYTHON, State, find, fingerprints, sources
from plaza_serving.native.modules import MODULES


def made(directory, **changed):
    document = {
        "python": PYTHON,
        "sources": fingerprints(MODULES),
        "modules": {name: f"{name}.so" for name in MODULES},
    }
    directory.mkdir(exist_ok=True)
    (directory / MANIFEST).write_text(json.dumps(document | changed))
    return directory


def test_what_was_made_of_these_sources_is_used(tmp_path):
    state, files = find(made(tmp_path))
    assert state is State.COMPILED
    assert set(files) == set(MODULES)
    assert all(file.parent == tmp_path for file in files.values())


def test_where_nothing_was_made_python_runs(tmp_path):
    assert find(tmp_path) == (State.ABSENT, {})


def test_what_is_of_other_sources_or_another_interpreter_is_left_alone(tmp_path):
    older = fingerprints(MODULES) | {MODULES[0]: "0" * 64}
    assert find(made(tmp_path, sources=older)) == (State.STALE, {})
    assert find(made(tmp_path, python="cpython-299")) == (State.STALE, {})


def test_whoever_wants_python_gets_it(tmp_path):
    assert find(made(tmp_path), "off") == (State.OFF, {})


def ask(program, wish, directory):
    """What a process of its own says, whose compiled modules would lie in `directory`."""
    begin = (
        "import pathlib\nfrom plaza_serving.native import loading\n"
        f"loading.place = lambda: pathlib.Path({str(directory)!r})\n"
    )
    return subprocess.run(
        [sys.executable, "-c", begin + program],
        env={**os.environ, "PLAZA_NATIVE": wish},
        capture_output=True,
        text=True,
        check=False,
    )


def test_who_requires_it_is_told_that_it_is_not_there(tmp_path):
    done = ask("import plaza_serving.dataplane.lane", "require", tmp_path)
    assert done.returncode
    assert "PLAZA_NATIVE=require, and the data path is interpreted: nothing" in done.stderr


def test_without_it_everything_is_there_all_the_same(tmp_path):
    done = ask("import plaza_serving.dataplane.lane as m; print(m.__file__)", "", tmp_path)
    assert done.stdout.strip().endswith("lane.py"), done.stderr


@pytest.mark.parametrize("name", MODULES)
def test_what_is_compiled_together_lies_behind_a_package_that_loads_it(name):
    package = sources([name.rpartition(".")[0]])
    (text,) = (
        file.with_suffix("").joinpath("__init__.py").read_text() for file in package.values()
    )
    assert "\nuse()\n" in text


@pytest.mark.parametrize("name", MODULES)
def test_no_structure_of_msgspec_is_compiled(name):
    """mypyc would leave out what their bases are told: `frozen`, `eq`, `gc`."""
    tree = ast.parse(sources([name])[name].read_text())
    told = [c.name for c in ast.walk(tree) if isinstance(c, ast.ClassDef) and c.keywords]
    assert told == []


def test_a_machine_without_a_compiler_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(building.CannotCompileError, match="no C compiler"):
        building.build(tmp_path / "made")
    assert not Path(tmp_path, "made").exists()
    assert program.main([]) == 1
    assert program.main(["--if-possible"]) == 0


def test_sources_that_cannot_be_compiled_are_a_failure_on_any_machine(monkeypatch):
    def refuse(_):
        raise building.CannotCompileError("error: a type")

    monkeypatch.setattr(program, "build", refuse)
    assert program.main(["--if-possible"]) == 1


@pytest.mark.skipif(
    loading.state() is not State.COMPILED, reason="nothing is compiled here (make native)"
)
def test_what_is_compiled_here_is_what_a_process_imports():
    done = ask("import plaza_serving.doors.oip as m; print(m.__file__)", "require", loading.place())
    assert Path(done.stdout.strip()).is_relative_to(loading.place()), done.stderr
