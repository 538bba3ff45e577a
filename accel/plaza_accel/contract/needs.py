"""What the sandbox of an examination must admit for a provider, and what of it this machine has.

A provider states `Needs`. The process that starts the child reads them (naming a provider imports
no runtime), narrows them to what exists here, and hands the result over. The child adds nothing to
it: neither a bundle nor the library that opens it has a say in what its own sandbox lets through.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_NEVER: Final = re.compile(
    r"(PLAZA|RAY|AWS|MLFLOW)_.*|.*(TOKEN|SECRET|PASSWORD|CREDENTIAL).*|LD_PRELOAD|LD_AUDIT"
)
"""Credentials, and what puts foreign code into a process."""
_NARROW: Final = 3
"""Parts that a readable path has at least, the root being one: `/proc/devices`, never `/proc`."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Stated by a provider; nothing unless it says so. Raises ValueError for what is too wide."""

    readable: tuple[str, ...] = ()
    """Absolute paths of files and of directories, which are read with all beneath them."""
    devices: tuple[str, ...] = ()
    """Character devices beneath `/dev`, each as a pattern of `glob`: reading, writing, and the
    commands of its driver (ioctl)."""
    variables: tuple[str, ...] = ()
    """Names of environment variables that the child gets as this process has them."""
    homes: tuple[str, ...] = ()
    """Those that name one directory each, where the maker's software was installed: handed over
    like the others, and the directory is readable."""
    limit_addresses: bool = True
    """Whether the limit on memory may count addresses. Off for a driver that reserves more of them
    than there is memory: then memory that the process can write to is counted."""

    def __post_init__(self) -> None:
        for path in self.readable:
            if not _narrow(path):
                raise ValueError(f"'{path}' is not an absolute path of two parts or more")
        for pattern in self.devices:
            if not pattern.startswith("/dev/") or ".." in pattern or "**" in pattern:
                raise ValueError(f"'{pattern}' is not a pattern beneath /dev")
        for name in (*self.variables, *self.homes):
            if not _VARIABLE.fullmatch(name) or _NEVER.fullmatch(name):
                raise ValueError(f"'{name}' is not a variable that may be handed over")


@dataclass(frozen=True, slots=True)
class Admission:
    """`Needs` as this machine meets them: what one child is let through to."""

    readable: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    limit_addresses: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)

    def asked(self) -> dict[str, Any]:
        """What the child is told; variables it finds in its environment."""
        return {
            "readable": list(self.readable),
            "devices": list(self.devices),
            "limit_addresses": self.limit_addresses,
        }


def admitted(needs: Needs, environ: Mapping[str, str] | None = None) -> Admission:
    """What of `needs` exists here. A link among the device files is no device."""
    environ = os.environ if environ is None else environ
    homes = [environ[name] for name in needs.homes if _narrow(environ.get(name, ""))]
    paths = [path for path in (*needs.readable, *homes) if Path(path).exists()]
    found = {path for pattern in needs.devices for path in glob.glob(pattern)}  # noqa: PTH207 patterns are absolute
    names = (*needs.variables, *needs.homes)
    return Admission(
        readable=tuple(dict.fromkeys(paths)),
        devices=tuple(sorted(path for path in found if _is_device(path))),
        limit_addresses=needs.limit_addresses,
        variables={name: environ[name] for name in names if name in environ},
    )


def _narrow(path: str) -> bool:
    parts = Path(path).parts
    return path.startswith("/") and ".." not in parts and len(parts) >= _NARROW


def _is_device(path: str) -> bool:
    try:
        return stat.S_ISCHR(os.lstat(path).st_mode)
    except OSError:
        return False
