"""The table of certificates."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKeyConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from plaza_core.ids import Digest, ModelId, OrganisationId
from plaza_tenancy.schema import Base


class CertificateRow(Base):
    """One certificate of one version. Rows are never changed; of one key the newest counts."""

    __tablename__ = "certificates"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organisation", "model", "version"],
            ["model_versions.organisation", "model_versions.model", "model_versions.version"],
        ),
    )
    organisation: Mapped[OrganisationId] = mapped_column(String(32), primary_key=True)
    model: Mapped[ModelId] = mapped_column(String(32), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1 within a version."""
    digest: Mapped[Digest] = mapped_column(String(64))
    provider: Mapped[str] = mapped_column(String(64))
    environment: Mapped[str] = mapped_column(String(16))
    """`Environment.fingerprint`; with the digest it stands for the whole key."""
    passed: Mapped[bool]
    facts: Mapped[dict[str, Any]]
    """The whole `Certificate`."""
    made: Mapped[int]
    made_by: Mapped[str] = mapped_column(String(32))
