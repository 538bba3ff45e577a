"""Environments of their own for programs of other people, made from what a script says it needs.

A script names its packages where the Python packaging standard for single files has them (PEP 723),
and under `[tool.plaza]` what no package brings. With a lock beside it, every file that is installed
is one whose hash the lock names. Environments are kept by what is in them: a second run starts at
once.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^# /// script\n((?:#.*\n)+?)# ///$", re.MULTILINE)
_INSTALL_S = 900


def said(path: Path) -> dict[str, Any]:
    """The script's block of metadata. Raises ValueError when it has none."""
    block = _BLOCK.search(path.read_text(encoding="utf-8"))
    if block is None:
        raise ValueError(f"{path.name} does not say what it needs")
    return tomllib.loads("\n".join(line[2:] for line in block.group(1).splitlines()))


def about(path: Path) -> str:
    """The first line of a script's docstring, without the full stop."""
    text = path.read_text(encoding="utf-8")
    return text.partition('"""')[2].splitlines()[0].removesuffix('"""').removesuffix(".")


def environment(home: Path, name: str, packages: Sequence[str], lock: Path | None = None) -> Path:
    """The Python of the environment `name` under `home`, made when it is not there yet.

    With a `lock` nothing but its files is installed. Raises CalledProcessError when that fails.
    """
    content = lock.read_bytes() if lock else "\n".join(packages).encode()
    place = home / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"
    python, made = place / "bin" / "python", place / ".made"
    if not made.exists():
        venv.create(place, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        wanted = ["--require-hashes", "-r", str(lock)] if lock else packages
        # What a script of ours asks for, in an environment of its own.
        subprocess.run([*pip, *wanted], check=True, timeout=_INSTALL_S, stdout=sys.stderr)  # noqa: S603
        made.touch()
    return python
