"""The seam of search: who keeps indexes. Its twin in memory is `testing_indexes`.

serving ──IndexStore──▶ tenancy

An index is a log of segments, which the store takes as bytes and never reads. It changes by one
publication at a time: whoever publishes says which generation they have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from plaza_core.errors import Conflict
from plaza_core.ids import OrganisationId, ProjectId
from plaza_core.principal import TenantScope


class IndexMoved(Conflict):
    """Somebody else published meanwhile: look at the index again."""


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """One index. `model` and `version` are None where it has words only."""

    id: str
    organisation: OrganisationId
    project: ProjectId
    project_name: str
    name: str
    model: str | None
    """Full wire name of its embedder."""
    version: int | None
    """Vectors of two versions cannot be compared, so an index keeps to one."""
    documents: int
    bytes: int
    """Of its segments."""
    generation: int
    """Grows with every publication."""
    created_unix_us: int
    created_by: str
    changed_unix_us: int
    segments: tuple[int, ...] = field(default=(), repr=False)
    """Numbers of the segments of the log, in order."""


@dataclass(frozen=True, slots=True)
class Publication:
    """The next state of an index: segments from `start` on give way to one."""

    seen: int
    """The generation that it was made from."""
    start: int
    """How many segments stay."""
    body: bytes = field(repr=False)
    documents: int
    """How many the index holds afterwards."""


class IndexStore(Protocol):
    """Indexes as rows, kept by tenancy. What belongs to others does not exist: NotFound.

    An index is named `name` or `project.name`.
    """

    def create(
        self,
        scope: TenantScope,
        name: str,
        *,
        project: str | None = None,
        model: str | None = None,
        version: int | None = None,
    ) -> IndexInfo:
        """In the scope's project, or the one named. Raises InvalidInput, Conflict where there is
        one of this name, QuotaExceeded."""

    def get(self, scope: TenantScope, name: str) -> IndexInfo:
        """Raises NotFound."""

    def list(self, scope: TenantScope) -> Sequence[IndexInfo]:
        """By project and name."""

    def drop(self, scope: TenantScope, name: str) -> None:
        """With all that is in it, for good. Raises NotFound."""

    def segment(self, scope: TenantScope, index: str, number: int) -> bytes:
        """Of the index with this id. Raises NotFound, also once it has given way."""

    def publish(self, scope: TenantScope, index: str, publication: Publication) -> IndexInfo:
        """Whole or not at all. Raises IndexMoved unless `seen` is the index's generation, NotFound
        when it was dropped, QuotaExceeded."""
