"""The model repository as its doors see it: what a caller may call, and keeping it open or not.

`dataplane.repository.FollowedRepository` is the real one. A hub without one offers no such routes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from plaza_core.principal import Principal


class RepositoryState(StrEnum):
    READY = "READY"
    LOADING = "LOADING"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class Shelved:
    """One version as this replica knows it. `name` is one that means this model to the caller."""

    name: str
    version: int
    state: RepositoryState
    reason: str = ""
    """Why it is not ready; empty where it is."""


@dataclass(frozen=True, slots=True)
class Meant:
    """A caller, and the version that it names. `authorization` is the header as it came: what is
    changed is changed with the caller's own key."""

    principal: Principal
    authorization: str
    name: str
    version: str | None
    deadline_ns: int
    """On the monotonic clock."""


class Repository(Protocol):
    def index(self, principal: Principal) -> list[Shelved]:
        """Every version that this caller may call, nearest models first."""

    async def load(self, meant: Meant) -> int:
        """Have it kept open; returns once it is open on this replica, with its number.

        Raises what control raises, and ModelLoading when the deadline passes before it is open.
        """

    async def unload(self, meant: Meant) -> int:
        """Have it kept open no longer. It closes when nobody needs it and others need the room."""
