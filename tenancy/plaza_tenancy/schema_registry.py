"""The tables of what becomes of models: history of aliases, rollouts, tags, sharing, publishing.

What gives a version its state stands in its own row (`schema.VersionRow`) and in its aliases.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from plaza_core.ids import Digest, ModelId, OrganisationId
from plaza_tenancy.schema import Base

_ID = String(32)
_NAME = String(63)


def _of_model() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["organisation", "model"], ["models.organisation", "models.id"])


class AliasStepRow(Base):
    """One state that an alias was brought into; the newest is the one it is in. Never changed."""

    __tablename__ = "alias_steps"
    __table_args__ = (_of_model(),)
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    model: Mapped[ModelId] = mapped_column(_ID, primary_key=True)
    alias: Mapped[str] = mapped_column(_NAME, primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[int]
    actor: Mapped[str] = mapped_column(_ID)
    kind: Mapped[str] = mapped_column(String(16))
    why: Mapped[str] = mapped_column(String(200))
    version: Mapped[int | None]
    """The stable one; none: there was no alias of this name from here on."""
    weights: Mapped[dict[str, Any] | None]
    shadows: Mapped[dict[str, Any] | None]
    rollout: Mapped[str | None] = mapped_column(_ID)
    back: Mapped[int | None]
    """The step whose state a rollback from here returns to."""


class RolloutRow(Base):
    __tablename__ = "rollouts"
    __table_args__ = (_of_model(), UniqueConstraint("id"), Index(None, "state"))
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    model: Mapped[ModelId] = mapped_column(_ID)
    alias: Mapped[str] = mapped_column(_NAME)
    kind: Mapped[str] = mapped_column(String(16))
    stable: Mapped[int]
    candidate: Mapped[int]
    part: Mapped[int]
    policy: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16))
    started: Mapped[int]
    started_by: Mapped[str] = mapped_column(_ID)
    ended: Mapped[int | None]
    ended_by: Mapped[str | None] = mapped_column(_ID)
    verdict: Mapped[dict[str, Any] | None]
    evidence: Mapped[dict[str, Any]]


class ModelTagRow(Base):
    __tablename__ = "model_tags"
    __table_args__ = (_of_model(), Index(None, "tag"))
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    model: Mapped[ModelId] = mapped_column(_ID, primary_key=True)
    tag: Mapped[str] = mapped_column(_NAME, primary_key=True)


class ModelShareRow(Base):
    """A model of visibility `shared` is the organisation's own and the guest's to call."""

    __tablename__ = "model_shares"
    __table_args__ = (_of_model(), Index(None, "guest"))
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    model: Mapped[ModelId] = mapped_column(_ID, primary_key=True)
    guest: Mapped[OrganisationId] = mapped_column(
        _ID, ForeignKey("organisations.id"), primary_key=True
    )
    guest_name: Mapped[str] = mapped_column(_NAME)
    """Kept here because the owner may not read the guest's own row. Names never change."""
    at: Mapped[int]
    actor: Mapped[str] = mapped_column(_ID)


class PublishRequestRow(Base):
    """An organisation asks operators to make a model public."""

    __tablename__ = "publish_requests"
    __table_args__ = (_of_model(), UniqueConstraint("id"), Index(None, "state"))
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    model: Mapped[ModelId] = mapped_column(_ID)
    state: Mapped[str] = mapped_column(String(16))
    """`pending`, `approved`, `rejected` or `dropped`."""
    note: Mapped[str] = mapped_column(String(200))
    asked: Mapped[int]
    asked_by: Mapped[str] = mapped_column(_ID)
    decided: Mapped[int | None]
    decided_by: Mapped[str | None] = mapped_column(_ID)
    reason: Mapped[str | None] = mapped_column(String(200))


class BlobHoldRow(Base):
    """A registration is about to name this blob: until then nobody may take it for left over."""

    __tablename__ = "blob_holds"
    __table_args__ = (Index(None, "sha256"),)
    organisation: Mapped[OrganisationId] = mapped_column(
        _ID, ForeignKey("organisations.id"), primary_key=True
    )
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    """One registration."""
    sha256: Mapped[Digest] = mapped_column(String(64), primary_key=True)
    until: Mapped[int]
