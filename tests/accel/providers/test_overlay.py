"""An environment over this one: its own packages first, everything else from below."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from plaza_accel.providers.overlay import main, make_overlay, packages_of

ROOT = Path(__file__).parents[3]


def says(python, code):
    """What another interpreter prints, started far from here and told nothing of our paths."""
    done = subprocess.run(
        [python, "-P", "-c", code], cwd="/", env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_what_it_lacks_comes_from_below_and_what_it_has_comes_first(tmp_path):
    python = make_overlay(tmp_path / "over")
    code = "import sys, numpy, plaza_accel; print(sys.prefix, numpy.__file__, plaza_accel.__file__)"
    prefix, numpy_file, plaza_file = says(python, code)
    assert prefix == str(tmp_path / "over")
    assert not Path(numpy_file).is_relative_to(tmp_path)
    assert Path(plaza_file) == ROOT / "accel" / "plaza_accel" / "__init__.py"
    (packages_of(tmp_path / "over") / "numpy.py").write_text("mine = 1")
    assert says(python, "import numpy; print(numpy.mine)") == ["1"]


def test_plug_ins_of_both_are_found(tmp_path):
    """A provider package is put into the overlay; Plaza's own are below."""
    over = make_overlay(tmp_path / "over")
    told = packages_of(tmp_path / "over") / "mine-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text("[plaza.accelerators]\nmine = mine:provider\n")
    code = "from plaza_core.plugins import *; print(*available(ACCELERATORS))"
    assert {"cpu", "cann", "mine"} <= set(says(over, code))


def test_making_it_again_changes_nothing_and_what_is_no_overlay_is_left_alone(tmp_path, capsys):
    assert main([str(tmp_path / "over")]) == 0
    assert main([str(tmp_path / "over")]) == 0
    assert capsys.readouterr().out.split() == 2 * [str(tmp_path / "over" / "bin" / "python")]
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").write_text("dear")
    assert main([str(tmp_path / "letters")]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert (tmp_path / "letters" / "one.txt").read_text() == "dear"


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_without_a_directory_it_tells_how_it_is_used(arguments, capsys):
    assert main(arguments) == 2
    assert "DIRECTORY" in capsys.readouterr().err


def test_what_pip_says_is_the_commands_answer(tmp_path):
    command = [
        sys.executable,
        "-m",
        "plaza_accel.providers.overlay",
        tmp_path / "over",
        "--no-index",
        "nope",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "nope" in done.stderr
