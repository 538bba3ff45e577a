"""A provider written outside this repository: built, installed and examined there, as a stranger's.

Its wheel and the hub's are installed into an environment of their own, over this one's libraries.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plaza_accel.providers.overlay import make_overlay, packages_of

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "provider-package"
LIBRARY = "nxrt-ep-cpu==0.1.0.dev6"


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """run(*python arguments) in a directory far from the repository, with what was installed."""
    away = tmp_path_factory.mktemp("outside")
    site = packages_of(away / "environment")
    for source in (ROOT, EXAMPLE):
        built = pip(
            "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(away), str(source)
        )
        assert built.returncode == 0, built.stderr
    wheels = [str(wheel) for wheel in away.glob("*.whl")]
    assert len(wheels) == 2
    # Installed although the environment below has the hub from its sources.
    put = ("--no-index", "--ignore-installed", *wheels)
    python = make_overlay(away / "environment", *put)
    if importlib.util.find_spec("nxrt_ep_cpu") is None:
        got = pip("--python", str(python), "install", "-q", "--no-deps", LIBRARY)
        if got.returncode != 0:
            pytest.skip(f"{LIBRARY} is not installed and no package index has it")
    (away / "test_examination.py").write_text(
        (EXAMPLE / "test_examination.py").read_text(encoding="utf-8"), encoding="utf-8"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        environment.pop("PYTHONPATH", None)
        return subprocess.run(
            [python, *arguments],
            cwd=away,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run, site


def test_it_passes_the_examination_from_outside_the_repository(outside):
    run, _ = outside
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", "test_examination.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout
    assert "23 passed" in done.stdout


def test_nothing_of_the_repository_was_on_its_path(outside):
    run, site = outside
    named = "plaza_accel, plaza_core, plaza_provider_nxrt"
    files = f"import {named}\nfor room in ({named}): print(room.__file__)"
    places = [Path(line) for line in run("-c", files).stdout.splitlines()]
    assert len(places) == 3
    assert all(place.is_relative_to(site) for place in places)
    found = (
        "from plaza_accel.contract.provider import select; "
        "print(select('nxrt').versions().provider)"
    )
    assert run("-c", found).stdout.strip() == "nxrt-ep-cpu 0.1.0.dev6"


PLACES = """
from pathlib import Path
from plaza_accel.providers import cpu
from plaza_accel.conformance import GRAPHS
from plaza_accel.contract.provider import select

graph = GRAPHS["dense"]()
directory = graph.write(Path("places"))
for provider in (cpu.provider, select("nxrt"), cpu.provider):
    print(*provider.open(directory, graph.manifest).placement)
"""


def test_it_serves_in_one_process_with_the_cpu(outside):
    """Each has the nodes; neither takes the other's."""
    run, _ = outside
    said = run("-c", PLACES).stdout.splitlines()
    assert said == ["CPUExecutionProvider", "cpu_ep", "CPUExecutionProvider"]
