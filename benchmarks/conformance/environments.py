"""A client script's own environment, made from what the script says it needs.

A script names its packages where the Python packaging standard for single files has them (PEP
723), and under `[tool.plaza]` what else it needs: shared libraries that no package brings, a
variable that says where something lies, a hub that lets callers in without a key. What is installed
stands in `locks/conformance` with hashes (`make lock`, see `locks`); scripts with the same client
share one lock and one environment. Environments are kept by what is in them: a second run starts at
once.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import subprocess
import sys
import tomllib
import venv
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CLIENTS = Path(__file__).parent / "clients"
LOCKS = Path(__file__).parents[2] / "locks" / "conformance"
_BLOCK = re.compile(r"^# /// script\n((?:#.*\n)+?)# ///$", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_INSTALL_S = 900


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
    last: bool = False
    """Whether it may leave a hub behind that no other client should meet."""

    @property
    def client(self) -> str:
        """The first package, with its version."""
        return re.sub(r"\[.*\]", "", self.packages[0]).replace("==", " ")

    @property
    def about(self) -> str:
        """The first line of its docstring, without the full stop."""
        text = self.path.read_text(encoding="utf-8")
        return text.partition('"""')[2].splitlines()[0].removesuffix('"""').removesuffix(".")

    def missing(self) -> str:
        """Why it cannot run on this machine; empty if it can."""
        for library in self.libraries:
            try:
                ctypes.CDLL(library)
            except OSError:
                return f"{library} is not installed ({self.hint})"
        if self.variable and not os.environ.get(self.variable):
            return f"{self.variable} is not set ({self.hint})"
        return ""

    def here(self) -> bool:
        """Whether it can run in this very environment, against a hub as it is by default."""
        return not self.keyless and all(_installed(package) for package in self.packages)


def scripts() -> list[Script]:
    """Every client there is, by name; those with no block of needs are modules of the others."""
    read = ((path, path.read_text(encoding="utf-8")) for path in sorted(CLIENTS.glob("*.py")))
    found = [_script(path, block.group(1)) for path, text in read if (block := _BLOCK.search(text))]
    return sorted(found, key=lambda script: script.last)


def interpreter(script: Script, home: Path) -> Path:
    """The Python of the script's environment, made when it is not there yet.

    Raises CalledProcessError when its packages cannot be installed.
    """
    digest = hashlib.sha256(script.lock.read_bytes()).hexdigest()[:12]
    place = home / f"{script.lock.stem}-{digest}"
    python, made = place / "bin" / "python", place / ".made"
    if not made.exists():
        venv.create(place, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        locked = ["--no-deps", "--require-hashes", "--requirement", str(script.lock)]
        # What a lock of ours asks for, in an environment of its own.
        subprocess.run([*install, *locked], check=True, timeout=_INSTALL_S, stdout=sys.stderr)  # noqa: S603
        made.touch()
    return python


def _script(path: Path, block: str) -> Script:
    said: dict[str, Any] = tomllib.loads("\n".join(line[2:] for line in block.splitlines()))
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
