"""Certificates of versions, as rows that only grow: of one key the newest counts.

Replicas hear of them in the hub table, as standings: so a version answers in a pool as soon as it
is certified there.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable

from sqlalchemy import func, select

from plaza_core.certificate import Certificate
from plaza_core.certificate_ports import Certified
from plaza_core.errors import Conflict, ModelNotFound
from plaza_core.ids import ModelId
from plaza_core.principal import TenantScope
from plaza_tenancy.access import node_scope
from plaza_tenancy.models import as_seen, entry_of, own_model, visible_model
from plaza_tenancy.schema import VersionRow
from plaza_tenancy.schema_certificates import CertificateRow
from plaza_tenancy.states import version_of
from plaza_tenancy.store import Change, Store


class Certificates:
    """CertificateRecords on SQL, see `plaza_core.certificate_ports`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, scope: TenantScope, name: str, version: int, certificate: Certificate) -> None:
        """See `plaza_core.certificate_ports.CertificateRecords`."""
        with self._store.change(scope, "certificate.add", name[:200]) as change:
            model = own_model(change, scope, name)
            row = version_of(change.session, model, version)
            add_certificates(change, row, [certificate])
            change.after = {"version": version, **facts_of(certificate)}

    def list(
        self, scope: TenantScope, name: str, version: int | None = None
    ) -> builtins.list[Certified]:
        """See `plaza_core.certificate_ports`; of somebody else's model the passed ones of what may
        be called."""
        with self._store.read(scope) as session:
            head = visible_model(session, scope, name)
            own = scope.organisation in {None, head.organisation}
            entry = as_seen(scope, entry_of(session, head.organisation, head.id))
            shown = {one.version for one in entry.versions}
            if version is not None and version not in shown:
                raise ModelNotFound("the model has no such version", input="version")
            wanted = shown if version is None else {version}
            query = (
                select(CertificateRow)
                .filter_by(organisation=head.organisation, model=head.id)
                .order_by(CertificateRow.version.desc(), CertificateRow.number.desc())
            )
            rows = [row for row in session.scalars(query) if row.version in wanted]
        found = [one for one in _newest(rows) if own or one.certificate.passed]
        return sorted(found, key=lambda one: -one.certificate.made_unix_us)

    def add_of_node(self, model: ModelId, version: int, certificate: Certificate) -> None:
        """As `add`, for a replica, which belongs to nobody and knows a model by its id."""
        with self._store.change(node_scope(), "certificate.add", model[:200]) as change:
            query = select(VersionRow).filter_by(model=model, version=version)
            row = change.session.scalars(query).one_or_none()
            if row is None:
                raise ModelNotFound("the model has no such version", input="version")
            change.organisation = row.organisation
            add_certificates(change, row, [certificate])
            change.after = {"version": version, **facts_of(certificate)}


def add_certificates(change: Change, row: VersionRow, made: Iterable[Certificate]) -> None:
    """Within a change of the version's own organisation. Raises Conflict for another digest."""
    version = {"organisation": row.organisation, "model": row.model, "version": row.version}
    query = select(func.max(CertificateRow.number)).filter_by(**version)
    last = change.session.scalar(query) or 0
    for number, certificate in enumerate(made, last + 1):
        if certificate.key.digest != row.digest:
            raise Conflict("this certificate is of another bundle", input="digest")
        change.session.add(
            CertificateRow(
                **version,
                number=number,
                digest=row.digest,
                provider=certificate.key.provider,
                environment=certificate.key.environment.fingerprint,
                passed=certificate.passed,
                facts=certificate.model_dump(mode="json"),
                made=certificate.made_unix_us,
                made_by=change.scope.actor,
            )
        )


def facts_of(certificate: Certificate) -> dict[str, object]:
    """As the audit trail has it."""
    return {
        "digest": certificate.key.digest,
        "provider": certificate.key.provider,
        "environment": certificate.key.environment.fingerprint,
        "passed": certificate.passed,
    }


def _newest(rows: Iterable[CertificateRow]) -> builtins.list[Certified]:
    """Of each version and key the first: `rows` come newest first."""
    found: dict[tuple[int, str], Certified] = {}
    for row in rows:
        certified = Certified(row.version, Certificate.model_validate(row.facts), row.made_by)
        found.setdefault((row.version, row.environment), certified)
    return list(found.values())
