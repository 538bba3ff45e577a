"""`python -m plaza_accel.providers.overlay DIRECTORY [what pip installs …]`: a pool's environment.

A virtual environment that holds only what differs, such as another wheel of ONNX Runtime; whatever
it lacks comes from the environment that this runs in. So Python, Ray and Plaza are the hub's own,
which every pool's environment must have, and making one takes seconds:

    python -m plaza_accel.providers.overlay /opt/openvino --require-hashes -r locks/openvino.txt

The result is the interpreter that the pool names as its `environment`, printed last.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_BELOW: Final = "plaza-below.pth"


def make_overlay(directory: Path, *install: str) -> Path:
    """Make it, install into it, and return its interpreter.

    `install` are arguments of `pip install`; dependencies are not followed, because the environment
    below has them. Raises FileExistsError where something else lies, and CalledProcessError when
    pip fails, which says why on stderr.
    """
    mark = packages_of(directory) / _BELOW
    if directory.exists() and any(directory.iterdir()) and not mark.exists():
        raise FileExistsError(f"{directory} holds something else; name a directory of its own")
    venv.EnvBuilder(symlinks=True, with_pip=False).create(directory)
    python = directory / "bin" / "python"
    # Read after the overlay's own packages, so those come first; `addsitedir` follows the `.pth`
    # files below too, by which an editable install is found.
    lines = [f"import site; site.addsitedir({path!r})\n" for path in packages()]
    mark.write_text("".join(lines), encoding="utf-8")
    if install:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        pip += ["--python", str(python), "install", "--no-deps", *install]
        subprocess.run(pip, check=True)  # noqa: S603 what the operator asked for
    return python


def packages() -> list[str]:
    """Where this process finds packages: what PYTHONPATH names, then one directory or two."""
    named = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if Path(p).is_absolute()]
    installed = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
    return list(dict.fromkeys([*named, *installed]))


def packages_of(directory: Path) -> Path:
    """Where packages of the environment at `directory` are."""
    where = {"base": str(directory), "platbase": str(directory)}
    return Path(sysconfig.get_path("purelib", "venv", where))


def main(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0].startswith("-"):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    directory = Path(arguments[0]).absolute()
    try:
        python = make_overlay(directory, *arguments[1:])
    except FileExistsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    sys.stdout.write(f"{python}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
