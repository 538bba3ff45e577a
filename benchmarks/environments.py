"""Environments of their own for programs of other people, made from locks with hashes.

A script names its packages where the Python packaging standard for single files has them (PEP 723),
and under `[tool.plaza]` what no package brings; its lock is made from that. Environments are kept
by what is in them: a second run starts at once.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^# /// script\n((?:#.*\n)+?)# ///$", re.MULTILINE)
_INSTALL_S = 900


def said(path: Path) -> dict[str, Any] | None:
    """The script's block of metadata, where it has one."""
    block = _BLOCK.search(path.read_text(encoding="utf-8"))
    if block is None:
        return None
    return tomllib.loads("\n".join(line[2:] for line in block.group(1).splitlines()))


def about(path: Path) -> str:
    """The first line of a script's docstring, without the full stop."""
    text = path.read_text(encoding="utf-8")
    return text.partition('"""')[2].splitlines()[0].removesuffix('"""').removesuffix(".")


def environment(home: Path, lock: Path) -> Path:
    """The Python of the environment of a lock, under `home`; made when it is not there yet.

    Raises CalledProcessError when it cannot be installed.
    """
    place = home / f"{lock.stem}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    python, made = place / "bin" / "python", place / ".made"
    if not made.exists():
        venv.create(place, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        locked = ["--no-deps", "--require-hashes", "--requirement", str(lock)]
        # What a lock of ours asks for, in an environment of its own.
        subprocess.run([*pip, *locked], check=True, timeout=_INSTALL_S, stdout=sys.stderr)  # noqa: S603
        made.touch()
    return python
