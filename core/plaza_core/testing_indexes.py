"""The in-memory twin of IndexStore. Same suite as the real one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from plaza_core.clock import Clock
from plaza_core.errors import Conflict, InvalidInput, NotFound, QuotaExceeded
from plaza_core.ids import OrganisationId, ProjectId, valid_name
from plaza_core.indexes import IndexInfo, IndexMoved, Publication
from plaza_core.principal import TenantScope


class MemoryIndexes:
    """`projects` maps (organisation, name) to an id. `most_documents` limits each organisation."""

    def __init__(
        self,
        clock: Clock,
        projects: dict[tuple[OrganisationId, str], ProjectId],
        most_documents: int | None = None,
    ) -> None:
        self.most_documents = most_documents
        self._clock = clock
        self._projects = projects
        self._indexes: dict[str, IndexInfo] = {}
        self._bodies: dict[tuple[str, int], bytes] = {}
        self._made = 0
        self._lock = threading.Lock()

    def create(
        self,
        scope: TenantScope,
        name: str,
        *,
        project: str | None = None,
        model: str | None = None,
        version: int | None = None,
    ) -> IndexInfo:
        valid_name(name)
        if scope.organisation is None:
            raise InvalidInput("name the organisation that this is for", input="organisation")
        with self._lock:
            found, project_name = self._project(scope, project)
            if any((i.project, i.name) == (found, name) for i in self._indexes.values()):
                raise Conflict("there is an index of this name", input="name")
            self._made += 1
            now = self._clock.unix_us()
            made = IndexInfo(
                f"idx_{self._made}",
                scope.organisation,
                found,
                project_name,
                name,
                model,
                version,
                documents=0,
                bytes=0,
                generation=0,
                created_unix_us=now,
                created_by=scope.actor,
                changed_unix_us=now,
            )
            self._indexes[made.id] = made
            return made

    def _project(self, scope: TenantScope, name: str | None) -> tuple[ProjectId, str]:
        if name is None and scope.project is None:
            raise InvalidInput("name the project that the index is for", input="project")
        for (organisation, known), found in self._projects.items():
            mine = organisation == scope.organisation and scope.project in {None, found}
            if mine and name in {None, known}:
                return found, known
        raise NotFound("there is no such project", input="project")

    def get(self, scope: TenantScope, name: str) -> IndexInfo:
        wanted = name.split(".")
        found = [
            one
            for one in self.list(scope)
            if [one.project_name, one.name][-len(wanted) :] == wanted
        ]
        if not found:
            raise NotFound("there is no such index", input="index")
        if len(found) > 1:
            raise NotFound("several indexes have this name; write project.index", input="index")
        return found[0]

    def list(self, scope: TenantScope) -> Sequence[IndexInfo]:
        found = [
            one
            for one in self._indexes.values()
            if scope.organisation in {None, one.organisation}
            and scope.project in {None, one.project}
        ]
        return sorted(found, key=lambda one: (one.project_name, one.name))

    def drop(self, scope: TenantScope, name: str) -> None:
        with self._lock:
            gone = self.get(scope, name)
            del self._indexes[gone.id]
            for number in gone.segments:
                del self._bodies[gone.id, number]

    def segment(self, scope: TenantScope, index: str, number: int) -> bytes:
        self._mine(scope, index)
        try:
            return self._bodies[index, number]
        except KeyError:
            raise NotFound("this part of the index has given way to another") from None

    def publish(self, scope: TenantScope, index: str, publication: Publication) -> IndexInfo:
        with self._lock:
            old = self._mine(scope, index)
            if old.generation != publication.seen:
                raise IndexMoved("the index changed meanwhile; try again", input="index")
            held = sum(i.documents for i in self.list(replace(scope, project=None)))
            after = held - old.documents + publication.documents
            if self.most_documents is not None and self.most_documents < after and after > held:
                raise QuotaExceeded("no room for more documents", input="documents")
            for number in old.segments[publication.start :]:
                del self._bodies[index, number]
            number = old.generation + 1
            self._bodies[index, number] = publication.body
            segments = (*old.segments[: publication.start], number)
            new = replace(
                old,
                documents=publication.documents,
                bytes=sum(len(self._bodies[index, one]) for one in segments),
                generation=number,
                changed_unix_us=self._clock.unix_us(),
                segments=segments,
            )
            self._indexes[index] = new
            return new

    def _mine(self, scope: TenantScope, index: str) -> IndexInfo:
        for one in self.list(scope):
            if one.id == index:
                return one
        raise NotFound("there is no such index", input="index")
