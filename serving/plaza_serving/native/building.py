"""Compiling the data path with mypyc, from the sources that are installed. It takes a minute.

Types are mypy's: a value that is not of the type that its place names is a TypeError here. What
mypyc cannot do as Python does it refuses to compile.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from plaza_serving.native.loading import MANIFEST, PYTHON, fingerprints, sources
from plaza_serving.native.modules import MODULES

_FLAGS = (
    "--config-file=",  # no project's: what is installed may lie anywhere
    "--ignore-missing-imports",
    "--follow-imports=silent",
)


class CannotCompileError(Exception):
    """The sources are not what mypyc or the compiler takes."""


class NoCompilerError(CannotCompileError):
    """This machine lacks what it takes."""


def build(target: Path) -> None:
    """Write the compiled modules to `target`, in place of older ones; last what they are made of.

    In a process of its own, for mypyc ends the process that it finds errors in. Raises
    CannotCompileError or NoCompilerError with the reason.
    """
    compiler = sysconfig.get_config_var("CC").split()[0]
    if shutil.which(compiler) is None:
        raise NoCompilerError(f"there is no C compiler ({compiler})")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        raise NoCompilerError("Python's headers are missing (Debian: apt install python3-dev)")
    made_of = fingerprints(MODULES)
    with tempfile.TemporaryDirectory(prefix="plaza-native-") as scratch:
        command = [sys.executable, "-c", _COMPILE, scratch, *_FLAGS, f"--cache-dir={scratch}/types"]
        files = [str(file) for file in sources(MODULES).values()]
        done = subprocess.run(  # noqa: S603 our own words
            [*command, *files], capture_output=True, text=True, check=False
        )
        made = Path(scratch, "made")
        if done.returncode or not made.exists():
            raise CannotCompileError((done.stdout + done.stderr).strip()[-2000:])
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(made, target)
    document = {"python": PYTHON, "sources": made_of, "modules": _modules(target)}
    (target / MANIFEST).write_text(json.dumps(document, indent=1))


_COMPILE = """
import sys
from mypyc.build import mypycify
from setuptools import Distribution
scratch, *arguments = sys.argv[1:]
extensions = mypycify(arguments, debug_level="0", target_dir=scratch + "/c")
made = Distribution({"name": "plaza-native", "ext_modules": extensions})
command = made.get_command_obj("build_ext")
command.build_lib, command.build_temp = scratch + "/made", scratch + "/objects"
command.ensure_finalized()
command.run()
"""


def _modules(target: Path) -> dict[str, str]:
    """Name -> file, of all that was compiled and of the library that they share."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    files = [file.relative_to(target) for file in target.rglob(f"*{suffix}")]
    return {".".join(file.parts).removesuffix(suffix): str(file) for file in files}
