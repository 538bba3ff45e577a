"""The tables about MLflow: what it was last known to show, and what people propose there."""

from __future__ import annotations

from sqlalchemy import ForeignKeyConstraint, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from plaza_core.ids import ModelId, OrganisationId
from plaza_tenancy.schema import Base

_ID = String(32)
_FOREIGN = String(255)
"""A name as MLflow takes it, which may be none of ours."""


class MirroredRow(Base):
    """An alias as MLflow was last known to show it; without a row, it showed none."""

    __tablename__ = "mirrored"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "model"], ["models.organisation", "models.id"]),
    )
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    model: Mapped[ModelId] = mapped_column(_ID, primary_key=True)
    alias: Mapped[str] = mapped_column(_FOREIGN, primary_key=True)
    number: Mapped[int]
    """MLflow's own number of the version."""


class ProposalRow(Base):
    """See `plaza_core.tracking.Proposal`. At most one of an alias is open."""

    __tablename__ = "proposals"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "model"], ["models.organisation", "models.id"]),
        Index(None, "organisation", "model", "alias", "state"),
    )
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    model: Mapped[ModelId] = mapped_column(_ID)
    alias: Mapped[str] = mapped_column(_FOREIGN)
    version: Mapped[int | None]
    number: Mapped[int | None]
    present: Mapped[int | None]
    state: Mapped[str] = mapped_column(String(16))
    seen: Mapped[int]
    decided: Mapped[int | None]
    decided_by: Mapped[str | None] = mapped_column(_ID)
