"""What the hub table says of certificates: of each version and environment the newest one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from plaza_core.certificate import Certificate, Standing
from plaza_core.ids import ModelId
from plaza_tenancy.schema import ModelRow, OrganisationRow
from plaza_tenancy.schema_certificates import CertificateRow


def standings(
    session: Session, conditions: Sequence[ColumnElement[bool]]
) -> dict[tuple[ModelId, int], list[Standing]]:
    """(model, version) -> what is known of it, for models that meet `conditions`."""
    query = (
        select(CertificateRow)
        .join(
            ModelRow,
            and_(
                ModelRow.organisation == CertificateRow.organisation,
                ModelRow.id == CertificateRow.model,
            ),
        )
        .join(OrganisationRow, OrganisationRow.id == ModelRow.organisation)
        .where(*conditions)
        .order_by(CertificateRow.number.desc())
    )
    newest: dict[tuple[ModelId, int, str], CertificateRow] = {}
    for row in session.scalars(query):
        newest.setdefault((row.model, row.version, row.environment), row)
    found: dict[tuple[ModelId, int], list[Standing]] = defaultdict(list)
    for (model, version, _), row in sorted(newest.items(), key=lambda item: item[0]):
        found[model, version].append(Certificate.model_validate(row.facts).standing())
    return found
