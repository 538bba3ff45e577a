"""Loading what was compiled in place of its source, if it was compiled of this very source.

All or nothing: compiled modules know one another's classes by their place in memory. So `use` is
called where the packages begin that they lie in, before any of them can have been imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from sysconfig import get_config_var, get_path
from types import ModuleType

from plaza_serving.native.modules import MODULES

MANIFEST = "manifest.json"
PYTHON = str(get_config_var("SOABI"))
"""For which interpreter a module is compiled."""
SWITCH = "PLAZA_NATIVE"
_SERVING = Path(__file__).parents[2]


class State(Enum):
    COMPILED = "compiled"
    ABSENT = "interpreted: nothing is compiled (make native)"
    STALE = "interpreted: what is compiled is of other sources (make native)"
    OFF = f"interpreted: {SWITCH}=off"


def place() -> Path:
    """Where this environment keeps what is compiled."""
    return Path(get_path("purelib"), "plaza_native")


def sources(modules: Iterable[str]) -> dict[str, Path]:
    return {name: _SERVING.joinpath(*name.split(".")).with_suffix(".py") for name in modules}


def fingerprints(modules: Iterable[str]) -> dict[str, str]:
    files = sources(modules).items()
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files}


class _Compiled(MetaPathFinder):
    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self._files.get(fullname)
        return None if file is None else spec_from_file_location(fullname, file)


def find(directory: Path, wish: str = "") -> tuple[State, dict[str, Path]]:
    """What a process would use by the value of `SWITCH`, and the file of each module."""
    if wish == "off":
        return State.OFF, {}
    try:
        made = json.loads((directory / MANIFEST).read_text())
    except FileNotFoundError:
        return State.ABSENT, {}
    if made["python"] != PYTHON or made["sources"] != fingerprints(MODULES):
        return State.STALE, {}
    return State.COMPILED, {name: directory / file for name, file in made["modules"].items()}


@cache
def use() -> None:
    """Once a process. Raises ImportError where `SWITCH` says `require` and there is nothing."""
    wish = os.environ.get(SWITCH, "")
    now, files = find(place(), wish)
    if now is State.COMPILED:
        sys.meta_path.insert(0, _Compiled(files))
    if wish == "require" and now is not State.COMPILED:
        raise ImportError(f"{SWITCH}=require, and the data path is {now.value}")


def state() -> State:
    return find(place(), os.environ.get(SWITCH, ""))[0]
