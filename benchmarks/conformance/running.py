"""What a hub has ready for the clients, and one client's run against it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import graphs
from benchmarks.conformance import models
from benchmarks.conformance.environments import Script
from benchmarks.hub import Hub

_RUN_S = 900
_ORGANISATION = "conformance"
FUZZED = "fuzzed"
"""Whose keys and state `schema_admin` may change as it likes."""


@dataclass(frozen=True, slots=True)
class Called:
    """One call of a client; `problem` is None where all was as expected."""

    call: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class Report:
    script: Script
    calls: tuple[Called, ...] = ()
    skipped: str = ""
    """Why it was not run."""

    @property
    def passed(self) -> bool:
        return bool(self.calls) and not [one for one in self.calls if one.problem]


def prepare(hub: Hub, scratch: Path) -> dict[str, str]:
    """Register what the clients ask for; returns the environment that they are told."""
    models.register(hub, scratch)
    hub.admin.orgs.create(FUZZED)
    loose = hub.admin.keys.create(FUZZED, role="consumer").id
    return keys(hub, scratch) | {"PLAZA_FUZZED_KEY": loose}


def keys(hub: Hub, scratch: Path) -> dict[str, str]:
    """An organisation with a consumer, an engineer and a model `mine`, of a hub with the others."""
    hub.admin.orgs.create(_ORGANISATION)
    consumer = hub.admin.keys.create(_ORGANISATION, role="consumer").key
    engineer = hub.admin.keys.create(_ORGANISATION, role="engineer").key
    mine = graphs.tiny(seed=1)
    mine.manifest["name"] = "mine"
    hub.client(engineer).models.register(mine.write(scratch / "mine"))
    return {"PLAZA_KEY": consumer, "PLAZA_ENGINEER_KEY": engineer} | addresses(hub)


def addresses(hub: Hub) -> dict[str, str]:
    """Where a hub answers, and its admin's key."""
    return {
        "PLAZA_URL": hub.url,
        "PLAZA_GRPC": f"127.0.0.1:{hub.environment['PLAZA_GRPC_PORT']}",
        "PLAZA_CONTROL_URL": hub.control_url,
        "PLAZA_ADMIN_KEY": hub.admin_key,
    }


def run(script: Script, python: Path | str, told: dict[str, str]) -> Report:
    """One client, as a program of its own. What it writes to stderr goes on."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(  # noqa: S603 our own script
        [str(python), str(script.path)],
        env=variables | told | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=_RUN_S,
        check=False,
    )
    calls = [Called(**json.loads(line)) for line in done.stdout.splitlines() if line[:1] == "{"]
    if done.returncode and not [one for one in calls if one.problem]:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        calls.append(Called("the script itself", last[:400]))
    if done.returncode:
        sys.stderr.write(done.stderr)
    return Report(script, tuple(calls))
