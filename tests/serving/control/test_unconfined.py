"""A hub on a machine that cannot confine a model registers nobody's, and says so everywhere.

The control plane and the examining child are real. The child's interpreter is started by a script
that takes Landlock, or every way to close the network, from it first, as an older kernel would.
"""

from __future__ import annotations

import functools
import os
import platform
import shlex
import sys
from pathlib import Path

import pytest

from plaza_accel.examination.certifier import Place, SandboxCertifier
from plaza_accel.sandbox import confinement
from plaza_core.clock import SystemClock
from plaza_serving.supervisor import doctor
from plaza_serving.supervisor.doctor import Verdict
from tests.serving.control.conftest import open_world

ROOT = Path(__file__).parents[3]
LACKING = (
    "import os, sys; from tests.accel.sandbox.lacking import lack; lack({what!r});"
    " os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)

pytestmark = [
    pytest.mark.skipif(
        platform.machine() != "x86_64", reason="lacking.py knows the call numbers of x86-64"
    ),
    pytest.mark.skipif(
        not confinement.sandbox_support()["usable"], reason="this kernel cannot confine a process"
    ),
]


@pytest.fixture
def poorer(tmp_path):
    """poorer(what) -> an interpreter on a machine without it."""

    def make(what):
        script = tmp_path / f"python-without-{what}"
        paths = os.pathsep.join([*sys.path, str(ROOT)])
        code = shlex.quote(LACKING.format(what=what))
        started = (
            f'PYTHONPATH={shlex.quote(paths)} exec {shlex.quote(sys.executable)} -c {code} "$@"'
        )
        script.write_text(f"#!/bin/sh\n{started}\n")
        script.chmod(0o700)
        return str(script)

    return make


@pytest.fixture
def hub(tmp_path):
    """hub(python) -> a control plane that certifies with that interpreter."""
    opened = []

    def make(python):
        certifier = SandboxCertifier(
            [Place("cpu", python=python)], SystemClock(), timeout_s=30, memory_mb=3072
        )
        state = tmp_path / f"state{len(opened)}"
        state.mkdir()
        opened.append(open_world(state, certifier=certifier))
        return opened[-1]

    yield make
    for world in opened:
        world.parts.close_waits()
        world.parts.tenancy.close()


async def keys_of(world):
    """Of an engineer of an organisation, and of the operating organisation itself."""
    made = await world.organisation("acme", engineer={"role": "engineer"})
    return made["engineer"], world.operator


async def test_the_control_of_the_next(hub, poorer, make_bundle):
    world = hub(poorer("nothing"))
    engineer, _ = await keys_of(world)
    answer = await world.register(engineer, make_bundle())
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("what", ["landlock", "network"])
async def test_nobodys_model_is_opened(hub, poorer, make_bundle, what):
    """Not the operator's either: who runs the hub has not made every file that it is given."""
    world = hub(poorer(what))
    for key in await keys_of(world):
        answer = await world.register(key, make_bundle())
        assert (answer.status_code, answer.json()["code"]) == (503, "sandbox_unavailable")
        assert "plaza doctor" in answer.json()["error"]
        listed = await world.ask(key, "GET", "/api/v1/models")
        assert listed.json()["items"] == []


def test_doctor_says_what_is_missing(monkeypatch, poorer):
    python = poorer("landlock")
    monkeypatch.setattr(
        confinement, "sandbox_support", functools.partial(confinement.sandbox_support, python)
    )
    found = doctor._sandbox()
    assert found.verdict is Verdict.BAD
    assert "files_denied: False" in found.detail
    assert "usable: False" in found.detail
