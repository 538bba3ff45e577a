"""The table of revisions of cards."""

from __future__ import annotations

from sqlalchemy import ForeignKeyConstraint, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from plaza_core.ids import ModelId, OrganisationId
from plaza_tenancy.schema import Base


class CardRow(Base):
    """What a version's card said from then on. A card that was never changed has no rows: it is
    the version's own."""

    __tablename__ = "model_cards"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organisation", "model", "version"],
            ["model_versions.organisation", "model_versions.model", "model_versions.version"],
        ),
    )
    organisation: Mapped[OrganisationId] = mapped_column(String(32), primary_key=True)
    model: Mapped[ModelId] = mapped_column(String(32), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(Text)
    created: Mapped[int]
    created_by: Mapped[str] = mapped_column(String(32))
