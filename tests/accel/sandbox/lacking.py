"""Run as a process that stands for a poorer machine: the kernel answers some calls as an older one
would, for it and everything it starts. What then happens is the real code's doing.

`python lacking.py WHAT DIRECTORY` prints what the sandbox gives, how an examination ends, and how
the start of a cell does.
"""

from __future__ import annotations

import ctypes
import errno
import json
import struct
import sys
from pathlib import Path

from benchmarks import graphs
from plaza_accel.cells.keeper import CellKeeper, CellOptions, Point
from plaza_accel.examination.examine import SandboxExaminer
from plaza_accel.sandbox import confinement, landlock
from plaza_core.clock import SystemClock
from plaza_core.errors import SandboxUnavailable, Unavailable
from plaza_core.ids import Digest, OrganisationId
from plaza_core.table import VersionEntry
from plaza_models import tasks

_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ENOSYS = 0x00050000 | errno.ENOSYS
_ALLOW = 0x7FFF0000
_SECCOMP = 22
_LANDLOCK, _UNSHARE, _PRCTL = 444, 272, 157

WITHOUT = {
    "landlock": [[(_LOAD, 0, 0, 0), (_EQUAL, 0, 1, _LANDLOCK), (_RETURN, 0, 0, _ENOSYS)]],
    "network": [
        [(_LOAD, 0, 0, 0), (_EQUAL, 0, 1, _UNSHARE), (_RETURN, 0, 0, _ENOSYS)],
        [  # and no further filters: prctl whose first argument says seccomp
            *((_LOAD, 0, 0, 0), (_EQUAL, 0, 3, _PRCTL)),
            *((_LOAD, 0, 0, 16), (_EQUAL, 0, 1, _SECCOMP), (_RETURN, 0, 0, _ENOSYS)),
        ],
    ],
    "namespaces": [[(_LOAD, 0, 0, 0), (_EQUAL, 0, 1, _UNSHARE), (_RETURN, 0, 0, _ENOSYS)]],
    "nothing": [],
}


def lack(what: str) -> None:
    rules = [step for steps in WITHOUT[what] for step in steps]
    if not rules:
        return
    code = b"".join(struct.pack("=HBBI", *step) for step in [*rules, (_RETURN, 0, 0, _ALLOW)])

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    landlock.no_new_privileges()
    program = Program(len(code) // 8, code)
    assert ctypes.CDLL(None).prctl(_SECCOMP, 2, ctypes.byref(program), 0, 0) == 0


def main() -> None:
    lack(sys.argv[1])
    graph = graphs.tiny()
    directory = graph.write(Path(sys.argv[2]))
    try:
        end = SandboxExaminer().examine(directory, graph.parsed()).reason
    except SandboxUnavailable as error:
        end = f"{error.code}: {error.message}"
    found = {
        "support": confinement.sandbox_support(),
        "end": end,
        "cell": start_cell(graph, directory),
    }
    sys.stdout.write(json.dumps(found))


def start_cell(graph: graphs.Graph, directory: Path) -> str:
    options = CellOptions(channels=1, headroom_bytes=64 << 20, idle_ns=0, vocabulary=tasks.__name__)
    point = Point("plaza_models.tensor:open_family", {})
    keeper = CellKeeper(options, lambda _: point, SystemClock())
    entry = VersionEntry(version=1, digest=Digest("a" * 64), manifest=graph.parsed(), files=[])
    try:
        runner, _ = keeper.open(directory, entry, OrganisationId("org_a"))
        runner.close()
    except Unavailable as error:
        return f"{error.code}: {error.message}"
    finally:
        keeper.close()
    return "started"


if __name__ == "__main__":
    main()
