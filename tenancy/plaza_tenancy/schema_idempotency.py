"""The table of requests that happen once. Answers are sealed by the caller's key: see
`plaza_core.idempotency`."""

from __future__ import annotations

from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from plaza_core.ids import KeyId, OrganisationId, RequestId
from plaza_tenancy.schema import Base


class IdempotencyRow(Base):
    """One Idempotency-Key of one API key. In progress while `status` is null."""

    __tablename__ = "idempotency"
    __table_args__ = (
        ForeignKeyConstraint(["organisation", "key"], ["keys.organisation", "keys.id"]),
        Index(None, "kept_until"),
    )
    organisation: Mapped[OrganisationId] = mapped_column(String(32), primary_key=True)
    key: Mapped[KeyId] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    token: Mapped[str] = mapped_column(String(32))
    request_id: Mapped[RequestId] = mapped_column(String(64))
    claimed_until: Mapped[int]
    kept_until: Mapped[int]
    status: Mapped[int | None]
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)
