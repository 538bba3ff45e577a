"""Resident memory of this process, as the kernel tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def resident_bytes(which: Literal["VmRSS", "VmHWM"] = "VmRSS") -> int:
    """Now (VmRSS) or at its highest (VmHWM), see proc(5). Not by getrusage, whose maximum begins
    with the size of the process that started this one."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{which}:"))
