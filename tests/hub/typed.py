"""Pages that are typed: their `sh` blocks in one shell, their `text` blocks compared with it.

Of a line of a `text` block its fixed parts must be in one line of the output, in their order; `…`
stands for whatever is between, and alone on a line for any lines. Runs of spaces count as one.
"""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "=== block "
LIMIT_S = 280


@dataclass(frozen=True)
class Typed:
    """What a page did: for each `sh` block its output; the shell's exit status; seconds it took."""

    outputs: list[str]
    status: int
    seconds: float


def blocks(page: Path) -> list[tuple[str, str]]:
    """(commands, expected output) of each `sh` block; expected is empty where nothing is shown."""
    found: list[tuple[str, str]] = []
    for kind, text in _FENCE.findall(page.read_text()):
        if kind == "sh":
            found.append((text, ""))
        else:
            assert kind == "text", f"{page.name} has a block of '{kind}', which nobody types"
            assert found, f"{page.name} begins with an output"
            assert not found[-1][1], f"{page.name} shows two outputs of one block"
            found[-1] = (found[-1][0], text)
    return found


def clean_environment(home: Path, **settings: str) -> dict[str, str]:
    """What a fresh login has, with the hub's programs on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    kept = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", **kept, **settings}


def typed(page: Path, directory: Path, environment: dict[str, str]) -> Typed:
    """Type a page into one shell that ends at the first command that fails."""
    lines = ["set -eu", "exec 2>&1"]
    for number, (commands, _) in enumerate(blocks(page)):
        lines += [f"echo '{_MARK}{number}'", commands]
    log = directory / ".typed.log"
    begin = time.monotonic()
    with log.open("wb") as out:
        # A file, no pipe: what a page starts in the background may outlive a failing page.
        shell = subprocess.Popen(
            ["bash", "-c", "\n".join(lines)],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            start_new_session=True,
        )
        try:
            status = shell.wait(LIMIT_S)
        finally:
            _end(shell.pid)
    outputs = re.split(rf"^{_MARK}\d+\n", log.read_text(), flags=re.MULTILINE)[1:]
    return Typed(outputs, status, time.monotonic() - begin)


def _end(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return  # nothing was left behind


def missing(expected: str, output: str) -> str | None:
    """The first line of `expected` that is not in `output` after those before it."""
    lines = iter(_folded(output).splitlines())
    for wanted in _folded(expected).splitlines():
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in wanted.split("…")))
        if wanted.strip() not in {"", "…"} and not any(map(pattern.search, lines)):
            return wanted
    return None


def _folded(text: str) -> str:
    return re.sub(r"[ \t]+", " ", text)
