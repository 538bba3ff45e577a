"""Where one installation keeps what its processes share on this machine."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from plaza_core.errors import Forbidden
from plaza_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Places:
    """`state` outlives everything; `temp` holds sockets and logs of the running Ray."""

    state: Path
    temp: Path

    @classmethod
    def of(cls, settings: Settings) -> Places:
        """The places of the installation in `settings.state_dir`.

        A Unix socket's path has at most 107 bytes, and HAProxy's ends in a node id of 56 and a
        suffix of 22; so Ray's directory is a short one in /tmp, named after the state directory.
        """
        state = settings.state_dir.resolve()
        name = hashlib.sha256(os.fsencode(state)).hexdigest()[:8]
        return cls(state, Path("/tmp") / f"plaza-{name}")  # noqa: S108 made private by `prepare`

    @property
    def secrets(self) -> Path:
        return self.state / "secrets"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def ray_token(self) -> Path:
        return self.secrets / "ray.token"

    @property
    def haproxy(self) -> Path:
        return self.temp / "h"

    def prepare(self) -> None:
        """Make all directories, private to this user. Raises Forbidden for a foreign one."""
        for directory in (self.state, self.secrets, self.logs, self.run, self.temp, self.haproxy):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for directory in (self.state, self.secrets, self.temp):
            _make_private(directory)


def _make_private(directory: Path) -> None:
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise Forbidden(f"{directory.name} is not a directory of this user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        directory.chmod(0o700)
