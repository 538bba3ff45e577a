"""The tables of search: indexes, and the segments that each of them is."""

from __future__ import annotations

from sqlalchemy import ForeignKeyConstraint, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from plaza_core.ids import OrganisationId, ProjectId
from plaza_tenancy.schema import Base

_ID = String(32)


class IndexRow(Base):
    """One index. `documents` and `bytes` are of its segments, written with them."""

    __tablename__ = "search_indexes"
    __table_args__ = (
        UniqueConstraint("organisation", "project", "name"),
        ForeignKeyConstraint(["organisation", "project"], ["projects.organisation", "projects.id"]),
    )
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    project: Mapped[ProjectId] = mapped_column(_ID)
    name: Mapped[str] = mapped_column(String(63))
    model: Mapped[str | None] = mapped_column(String(200))
    version: Mapped[int | None]
    documents: Mapped[int]
    bytes: Mapped[int]
    generation: Mapped[int]
    created: Mapped[int]
    created_by: Mapped[str] = mapped_column(_ID)
    changed: Mapped[int]


class SegmentRow(Base):
    """One segment, never changed. Its number is the generation that it came with."""

    __tablename__ = "search_segments"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organisation", "search_index"], ["search_indexes.organisation", "search_indexes.id"]
        ),
    )
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    search_index: Mapped[str] = mapped_column(_ID, primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
