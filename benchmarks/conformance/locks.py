"""Resolves `locks/conformance` anew, from what the client scripts say they need; needs uv.

    python -m benchmarks.conformance.locks [NAME …]

A lock holds exact versions with the hashes of every file, for each Python and processor that the
hub itself runs on.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.conformance.environments import LOCKS, scripts

_LEAST_PYTHON = "3.11"
_OPTIONS = ("--universal", "--python-version", _LEAST_PYTHON, "--generate-hashes", "--quiet",
            "--no-emit-index-url", "--no-header", "--no-annotate", "--upgrade")  # fmt: skip


def needs() -> dict[str, set[str]]:
    """What each lock must bring, by its name."""
    found: dict[str, set[str]] = {}
    for script in scripts():
        found.setdefault(script.lock.stem, set()).update(script.packages)
    return found


def main(chosen: list[str]) -> None:
    LOCKS.mkdir(exist_ok=True)
    for name, packages in needs().items():
        if chosen and name not in chosen:
            continue
        sys.stderr.write(f"{name}: {', '.join(sorted(packages))}\n")
        target = str(LOCKS / f"{name}.txt")
        subprocess.run(  # noqa: S603 what scripts of ours need
            ["uv", "pip", "compile", "-", *_OPTIONS, "--output-file", target],  # noqa: S607 as found
            input="\n".join(sorted(packages)),
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
