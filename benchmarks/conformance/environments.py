"""The client scripts and their environments (`benchmarks/environments.py`)."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks import environments

CLIENTS = Path(__file__).parent / "clients"
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Script:
    path: Path
    packages: tuple[str, ...]
    """As pip takes them; the first one is the client."""
    libraries: tuple[str, ...] = ()
    hint: str = ""
    """Where the libraries are to be had."""

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
        return ""

    def here(self) -> bool:
        """Whether this very environment has all of its packages."""
        return all(_installed(package) for package in self.packages)


def scripts() -> list[Script]:
    """Every client there is, by name."""
    found = (path for path in sorted(CLIENTS.glob("*.py")) if path.name != "telling.py")
    return [_read(path) for path in found]


def interpreter(script: Script, home: Path) -> Path:
    """The Python of the script's environment, made when it is not there yet.

    Raises CalledProcessError when its packages cannot be installed.
    """
    return environments.environment(home, script.path.stem, script.packages)


def _read(path: Path) -> Script:
    said = environments.said(path)
    more = said.get("tool", {}).get("plaza", {})
    libraries, hint = tuple(more.get("libraries", ())), more.get("hint", "")
    return Script(path, tuple(said["dependencies"]), libraries, hint)


def _installed(package: str) -> bool:
    name = _NAME.match(package)
    try:
        return name is not None and bool(version(name.group()))
    except PackageNotFoundError:
        return False
