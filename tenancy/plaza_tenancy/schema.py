"""The tables, as typed mapped classes. Owns every name, key and constraint in the database.

The organisation is part of the primary key of everything a tenant owns, and foreign keys carry it
along, so that no row can point into another organisation. Times are µs since 1970. `hub` is the
one table without a tenant: it holds what the whole installation shares.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from plaza_core.ids import Digest, KeyId, ModelId, OrganisationId, ProjectId, RequestId
from plaza_tenancy.dialect import Serial

_ID = String(32)
_NAME = String(63)
_ZERO = text("0")
_RATE = "(rate_per_second IS NULL) = (rate_burst IS NULL)"


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {int: BigInteger, dict[str, Any]: JSON(none_as_null=True)}  # noqa: RUF012 read once by SQLAlchemy


class HubRow(Base):
    """One row. Locked by every change, so that changes happen one after another on any database."""

    __tablename__ = "hub"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[str] = mapped_column(String(32))
    """Random: tells this database from a new one that counts from 0 again."""
    revision: Mapped[int]
    """How many changes were made."""


class OrganisationRow(Base):
    __tablename__ = "organisations"
    __table_args__ = (UniqueConstraint("name"),)
    id: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    name: Mapped[str] = mapped_column(_NAME)
    title: Mapped[str] = mapped_column(String(200))
    operator: Mapped[bool]
    suspended: Mapped[bool]
    rate_per_second: Mapped[float]
    rate_burst: Mapped[int]
    created: Mapped[int]
    max_concurrent: Mapped[int | None]


class ProjectRow(Base):
    __tablename__ = "projects"
    __table_args__ = (
        UniqueConstraint("organisation", "name"),
        CheckConstraint(_RATE, name="rate_whole"),
    )
    organisation: Mapped[OrganisationId] = mapped_column(
        _ID, ForeignKey("organisations.id"), primary_key=True
    )
    id: Mapped[ProjectId] = mapped_column(_ID, primary_key=True)
    name: Mapped[str] = mapped_column(_NAME)
    rate_per_second: Mapped[float | None]
    rate_burst: Mapped[int | None]
    created: Mapped[int]
    max_concurrent: Mapped[int | None]


class KeyRow(Base):
    __tablename__ = "keys"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "project"], ["projects.organisation", "projects.id"]),
        UniqueConstraint("id"),
        CheckConstraint(_RATE, name="rate_whole"),
        Index(None, "expires"),
    )
    organisation: Mapped[OrganisationId] = mapped_column(
        _ID, ForeignKey("organisations.id"), primary_key=True
    )
    id: Mapped[KeyId] = mapped_column(_ID, primary_key=True)
    project: Mapped[ProjectId | None] = mapped_column(_ID)
    mac: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    label: Mapped[str] = mapped_column(String(200))
    rate_per_second: Mapped[float | None]
    rate_burst: Mapped[int | None]
    created: Mapped[int]
    expires: Mapped[int | None]
    revoked: Mapped[int | None]
    last_used: Mapped[int | None]
    max_concurrent: Mapped[int | None]
    priority: Mapped[int] = mapped_column(server_default="0")
    line: Mapped[KeyId | None] = mapped_column(_ID)
    """The first key of its rotations: whose limits it shares. None: it is the first itself."""


class SuccessionRow(Base):
    """The key `id` was made by rotation and replaces another of the same organisation."""

    __tablename__ = "key_successions"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "id"], ["keys.organisation", "keys.id"]),
        ForeignKeyConstraint(["organisation", "replaces"], ["keys.organisation", "keys.id"]),
        UniqueConstraint("organisation", "replaces"),
    )
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    id: Mapped[KeyId] = mapped_column(_ID, primary_key=True)
    replaces: Mapped[KeyId] = mapped_column(_ID)


class MemberRow(Base):
    """A person's role. Invited by e-mail; issuer and subject are set at the first login."""

    __tablename__ = "members"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "project"], ["projects.organisation", "projects.id"]),
        UniqueConstraint("id"),
        CheckConstraint("(issuer IS NULL) = (subject IS NULL)", name="bound_whole"),
        Index(None, "issuer", "subject"),
        Index(None, "email"),
    )
    organisation: Mapped[OrganisationId] = mapped_column(
        _ID, ForeignKey("organisations.id"), primary_key=True
    )
    id: Mapped[KeyId] = mapped_column(_ID, primary_key=True)
    project: Mapped[ProjectId | None] = mapped_column(_ID)
    email: Mapped[str] = mapped_column(String(254))
    role: Mapped[str] = mapped_column(String(16))
    issuer: Mapped[str | None] = mapped_column(String(255))
    subject: Mapped[str | None] = mapped_column(String(255))
    created: Mapped[int]
    bound: Mapped[int | None]
    removed: Mapped[int | None]


class SessionRow(Base):
    """A person's login in one browser. Of no tenant: one person may be a member of several."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "expires"),)
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    mac: Mapped[str] = mapped_column(String(64))
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    email: Mapped[str] = mapped_column(String(254))
    created: Mapped[int]
    expires: Mapped[int]
    revoked: Mapped[int | None]


class ModelRow(Base):
    __tablename__ = "models"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "project"], ["projects.organisation", "projects.id"]),
        UniqueConstraint("organisation", "project", "name"),
        UniqueConstraint("id"),
        Index(None, "name"),
    )
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    id: Mapped[ModelId] = mapped_column(_ID, primary_key=True)
    project: Mapped[ProjectId] = mapped_column(_ID)
    name: Mapped[str] = mapped_column(_NAME)
    visibility: Mapped[str] = mapped_column(String(16))
    created: Mapped[int]
    search: Mapped[str] = mapped_column(Text, server_default=text("''"))
    """What a search looks through, in lower case: see `search.text_of`."""


class VersionRow(Base):
    """Its state is derived from the marks and from aliases: see `states`."""

    __tablename__ = "model_versions"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "model"], ["models.organisation", "models.id"]),
        UniqueConstraint("organisation", "model", "digest"),
    )
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    model: Mapped[ModelId] = mapped_column(_ID, primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[Digest] = mapped_column(String(64))
    family: Mapped[str] = mapped_column(String(100))
    manifest: Mapped[dict[str, Any]]
    files: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    card: Mapped[str] = mapped_column(Text)
    examination: Mapped[dict[str, Any]]
    created: Mapped[int]
    created_by: Mapped[str] = mapped_column(_ID)
    staged: Mapped[int | None]
    staged_by: Mapped[str | None] = mapped_column(_ID)
    retired: Mapped[int | None]
    retired_by: Mapped[str | None] = mapped_column(_ID)
    withdrawn: Mapped[int | None]
    """The examination, since then, counts no more; what it found is kept."""
    withdrawn_by: Mapped[str | None] = mapped_column(_ID)
    withdrawn_because: Mapped[str | None] = mapped_column(String(200))
    lineage: Mapped[dict[str, Any] | None]
    """See `plaza_core.tracking.Lineage`."""


class AliasRow(Base):
    """`version` is the stable one. The rest is there while a rollout runs."""

    __tablename__ = "aliases"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organisation", "model", "version"],
            ["model_versions.organisation", "model_versions.model", "model_versions.version"],
        ),
    )
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    model: Mapped[ModelId] = mapped_column(_ID, primary_key=True)
    alias: Mapped[str] = mapped_column(_NAME, primary_key=True)
    version: Mapped[int]
    weights: Mapped[dict[str, Any] | None]
    shadows: Mapped[dict[str, Any] | None]
    rollout: Mapped[str | None] = mapped_column(_ID)


class OutboxRow(Base):
    """What MLflow must hear of, in the order of `id`."""

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("organisation", "id"),
        Index(None, "done", "id"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    organisation: Mapped[OrganisationId] = mapped_column(_ID, ForeignKey("organisations.id"))
    kind: Mapped[str] = mapped_column(String(16))
    payload: Mapped[dict[str, Any]]
    done: Mapped[bool]
    at: Mapped[int] = mapped_column(server_default=_ZERO)
    """When it happened."""
    done_at: Mapped[int | None]


class UsageRow(Base):
    """One entry of the books. Points nowhere by foreign key: usage is recorded whatever else is."""

    __tablename__ = "usage"
    __table_args__ = (
        Index(None, "organisation", "at_unix_us"),
        Index(None, "organisation", "batch"),
    )
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    request_id: Mapped[RequestId] = mapped_column(String(64), primary_key=True)
    project: Mapped[ProjectId | None] = mapped_column(_ID)
    key: Mapped[KeyId] = mapped_column(_ID)
    model: Mapped[ModelId] = mapped_column(_ID)
    version: Mapped[int]
    digest: Mapped[Digest] = mapped_column(String(64))
    provider: Mapped[str] = mapped_column(Text)
    rows: Mapped[int]
    compute_us: Mapped[int]
    host_us: Mapped[int]
    latency_us: Mapped[int]
    outcome: Mapped[str] = mapped_column(Text)
    at_unix_us: Mapped[int]
    replica: Mapped[str] = mapped_column(Text)
    charge: Mapped[int] = mapped_column(server_default=_ZERO)
    overrun: Mapped[int] = mapped_column(server_default=_ZERO)
    lease: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(16), server_default=text("'use'"))
    reason: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[str | None] = mapped_column(_ID)
    refers: Mapped[str | None] = mapped_column(String(64))
    batch: Mapped[int] = mapped_column(server_default=_ZERO)
    """The link of the organisation's chain that holds this row."""


class LedgerHeadRow(Base):
    """The end of one organisation's chain. Locked by whoever adds to it."""

    __tablename__ = "ledger_heads"
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    sequence: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    anchor_sequence: Mapped[int]
    """The last batch that retention dropped; 0: none."""
    anchor_digest: Mapped[str] = mapped_column(String(64))
    closed_until: Mapped[int]
    """Books before this moment are closed: what is older is taken as known."""


class LedgerBatchRow(Base):
    """One link: the entries that one shipment added to one organisation."""

    __tablename__ = "ledger_batches"
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    count: Mapped[int]
    charge: Mapped[int]
    at: Mapped[int]
    first_unix_us: Mapped[int]
    """Of its earliest entry; found again from the entries, so not part of the digest."""
    last_unix_us: Mapped[int]


class UsageHourRow(Base):
    """Sums over the entries of one hour. A projection: `hours.rebuild` makes the same from rows."""

    __tablename__ = "usage_hours"
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    hour: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    project: Mapped[str] = mapped_column(_ID, primary_key=True)
    """Empty where the key has no project: NULL cannot be part of a key."""
    key: Mapped[KeyId] = mapped_column(_ID, primary_key=True)
    model: Mapped[ModelId] = mapped_column(_ID, primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    requests: Mapped[int]
    answered: Mapped[int]
    rows: Mapped[int]
    compute_us: Mapped[int]
    host_us: Mapped[int]
    charge: Mapped[int]
    overrun: Mapped[int]


class AuditRow(Base):
    """One administrative change, written in its transaction and never touched again."""

    __tablename__ = "audit"
    __table_args__ = (
        UniqueConstraint("organisation", "id"),
        Index(None, "organisation", "sequence", unique=True),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    at: Mapped[int]
    actor: Mapped[str] = mapped_column(_ID)
    organisation: Mapped[OrganisationId] = mapped_column(_ID, ForeignKey("organisations.id"))
    project: Mapped[ProjectId | None] = mapped_column(_ID)
    action: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(200))
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    sequence: Mapped[int] = mapped_column(server_default=_ZERO)
    previous: Mapped[str] = mapped_column(String(64), server_default=text("''"))
    digest: Mapped[str] = mapped_column(String(64), server_default=text("''"))


class AuditHeadRow(Base):
    """The end of one organisation's audit chain: without it, a cut-off tail would not be missed."""

    __tablename__ = "audit_heads"
    organisation: Mapped[OrganisationId] = mapped_column(
        _ID, ForeignKey("organisations.id"), primary_key=True
    )
    sequence: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
