"""A server's tree of processes: started, waited for, frozen while others run, counted, stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.waiting import reached

_STOP_S = 15.0


@dataclass(frozen=True, slots=True)
class Tree:
    """A process and all that descend from it, those that Ray and the supervisor detach included:
    they carry the mark of their first ancestor in their environment."""

    root: int
    mark: str

    def processes(self) -> list[psutil.Process]:
        found = {}
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.root)
            found = {one.pid: one for one in (root, *root.children(recursive=True))}
        for one in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if self.mark in one.environ().values():
                    found[one.pid] = one
        return list(found.values())

    def cpu_s(self) -> float:
        """User and system seconds of all of them so far; what has ended counts with its parent."""
        total = 0.0
        for one in self.processes():
            with contextlib.suppress(psutil.Error):
                times = one.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def pss(self) -> int:
        """Bytes of memory, shared pages divided among those who share them."""
        total = 0
        for one in self.processes():
            with contextlib.suppress(psutil.Error):
                total += one.memory_full_info().pss
        return total

    def signal(self, number: signal.Signals) -> None:
        for one in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(number)


@contextlib.contextmanager
def running(
    command: list[str], environment: Mapping[str, str], scratch: Path, name: str
) -> Iterator[Tree]:
    """Start a program of a peer; at the end nothing of it is left. Its words go to a log."""
    mark = tempfile.mkdtemp(prefix=f"{name}-", dir=scratch)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PLAZA_", "RAY_"))}
    with (Path(mark) / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 our own command
            command,
            env={**inherited, **environment, "PLACE": mark},
            cwd=mark,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    tree = Tree(process.pid, mark)
    try:
        yield tree
    finally:
        tree.signal(signal.SIGCONT)
        family = tree.processes()
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
        for one in {*family, *tree.processes()}:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


def said(tree: Tree, lines: int = 12) -> str:
    """The end of a program's log."""
    text = (Path(tree.mark) / "log").read_text(errors="replace")
    return "\n".join(text.splitlines()[-lines:])


def wait(condition: Callable[[], bool], tree: Tree, within_s: float) -> None:
    """Until the condition holds. Raises RuntimeError with the log's end when it does not in time,
    or the program ends first."""
    if not reached(lambda: _ended(tree.root) or condition(), within_s) or _ended(tree.root):
        raise RuntimeError(f"it did not answer:\n{said(tree)}")


def _ended(pid: int) -> bool:
    """Also one that nobody has waited for yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
