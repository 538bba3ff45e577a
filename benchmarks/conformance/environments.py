"""The client scripts, and the environment of each (`benchmarks/environments.py`).

A script says under `[tool.plaza]` what no package brings: shared libraries, a variable that says
where something lies, a hub that lets callers in without a key or has a second pool. What is
installed stands in `locks/conformance` with hashes (`make lock`, see `locks`); scripts with the
same client share one lock and one environment.
"""

from __future__ import annotations

import ctypes
import os
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import environments
from benchmarks.conformance import models

CLIENTS = Path(__file__).parent / "clients"
LOCKS = Path(__file__).parents[2] / "locks" / "conformance"
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Script:
    path: Path
    packages: tuple[str, ...]
    """As pip takes them; the first one is the client."""
    lock: Path
    """Exactly what is installed."""
    libraries: tuple[str, ...] = ()
    variable: str = ""
    """Of the environment, which must be set."""
    hint: str = ""
    """Where the libraries are to be had, or what the variable says."""
    keyless: bool = False
    """Whether it sends no key, and so needs a hub with `loopback_key`."""
    pools: bool = False
    """Whether it needs a hub with a second pool."""
    last: bool = False
    """Whether it may leave a hub behind that no other client should meet."""

    @property
    def client(self) -> str:
        """The first package, with its version."""
        return re.sub(r"\[.*\]", "", self.packages[0]).replace("==", " ")

    @property
    def about(self) -> str:
        """The first line of its docstring, without the full stop."""
        return environments.about(self.path)

    def missing(self) -> str:
        """Why it cannot run on this machine; empty if it can."""
        for library in self.libraries:
            try:
                ctypes.CDLL(library)
            except OSError:
                return f"{library} is not installed ({self.hint})"
        if self.variable and not os.environ.get(self.variable):
            return f"{self.variable} is not set ({self.hint})"
        if self.pools and not models.pools():
            return "there is no environment for a second pool (make openvino)"
        return ""

    def here(self) -> bool:
        """Whether it can run in this very environment, against a hub as it is by default."""
        return not (self.keyless or self.pools) and all(
            _installed(package) for package in self.packages
        )


def scripts() -> list[Script]:
    """Every client there is, by name; those with no block of needs are modules of the others."""
    paths = sorted(CLIENTS.glob("*.py"))
    found = [_script(path, said) for path in paths if (said := environments.said(path))]
    return sorted(found, key=lambda script: script.last)


def interpreter(script: Script, home: Path) -> Path:
    """The Python of the script's environment, made when it is not there yet.

    Raises CalledProcessError when its packages cannot be installed.
    """
    return environments.environment(home, script.lock)


def _script(path: Path, said: dict[str, Any]) -> Script:
    more = said.get("tool", {}).get("plaza", {})
    return Script(
        path,
        tuple(said["dependencies"]),
        LOCKS / f"{more.pop('lock', path.stem)}.txt",
        tuple(more.pop("libraries", ())),
        **more,
    )


def _installed(package: str) -> bool:
    name = _NAME.match(package)
    try:
        return name is not None and bool(version(name.group()))
    except PackageNotFoundError:
        return False
