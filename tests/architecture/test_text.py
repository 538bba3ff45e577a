"""What every file of the project owes its reader."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

import plaza_core.errors
from plaza_core.errors import PlazaError
from plaza_core.settings import Settings
from plaza_core.settings_page import page
from plaza_serving.doors.problems import status_of
from plaza_serving.doors.rpc.problems import code_of

ROOT = Path(__file__).parents[2]
TRACKED = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
]
PYTHON = [p for p in TRACKED if p.suffix == ".py" and p.exists()]
SOURCES = [p for p in PYTHON if "tests" not in p.parts]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_opens_by_saying_what_it_owns(path):
    text = path.read_text()
    opening = re.sub(r"\A# /// script\n(#.*\n)*?# ///\n", "", text)  # what a script needs, PEP 723
    assert not opening or opening.lstrip().startswith(('"""', "#!")), "no opening docstring"


def test_nothing_is_left_unfinished():
    marks = re.compile("TO" + "DO|FIX" + "ME|X" + "XX|except Exception:\n +pass")
    found = [p for p in SOURCES if marks.search(p.read_text())]
    assert not found


def test_files_stay_small_enough_for_a_head():
    lengths = sorted(len(p.read_text().splitlines()) for p in SOURCES)
    assert lengths[len(lengths) // 2] <= 150
    assert lengths[-1] <= 450


def test_every_setting_is_described_and_its_page_is_current():
    assert all(field.description for field in Settings.model_fields.values())
    assert (ROOT / "docs" / "settings.md").read_text() == page(), "run `make docs`"


def all_errors():
    found, waiting = [], [PlazaError]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return [k for k in found if k.__module__ == plaza_core.errors.__name__]


def test_every_error_code_is_unique_and_in_the_contract():
    codes = [kind.code for kind in all_errors()]
    assert len(set(codes)) == len(codes)
    contract = yaml.safe_load((ROOT / "contracts" / "errors.yaml").read_text())
    stated = {code: entry["status"] for code, entry in contract["errors"].items()}
    assert {kind.code: status_of(kind("")) for kind in all_errors()} == stated
    grpc = {code: entry["grpc"] for code, entry in contract["errors"].items()}
    assert {kind.code: code_of(kind("")).name for kind in all_errors()} == grpc
