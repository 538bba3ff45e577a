"""Certificates are kept, and the newest of a key counts. One suite for SQL and for the twin."""

from __future__ import annotations

import pytest

from plaza_core.certificate import standing_in
from plaza_core.certificate_ports import CertificateRecords
from plaza_core.errors import Conflict, Forbidden, ModelNotFound
from plaza_core.ids import Digest
from plaza_core.principal import Right, Role, TenantScope
from plaza_core.table import Visibility
from plaza_core.testing_certificates import SOMEWHERE, MemoryCertificates
from tests.tenancy.world import make_certificate, make_version

WRITE = Right.MODELS_WRITE
Told = tuple[CertificateRecords, TenantScope]
"""Records that know `detector` 1 and 2, and a scope that may change them."""


@pytest.fixture
def engineer(world, acme):
    return world.scope_of("acme", Role.ENGINEER, WRITE)


class Every:
    """What holds of every CertificateRecords."""

    def test_what_is_added_is_listed_with_who_asked_for_it(self, told):
        records, scope = told
        assert records.list(scope, "detector") == []
        records.add(scope, "detector", 1, make_certificate())
        (one,) = records.list(scope, "detector", 1)
        assert (one.version, one.certificate) == (1, make_certificate())
        assert one.made_by == scope.actor

    def test_of_one_key_the_newest_is_shown(self, told):
        records, scope = told
        records.add(scope, "detector", 1, make_certificate(made=1))
        records.add(scope, "detector", 1, make_certificate(made=2, passed=False))
        (one,) = records.list(scope, "detector", 1)
        assert not one.certificate.passed

    @pytest.mark.parametrize(
        "part", ["provider", "provider_version", "runtime", "device", "cpu_features"]
    )
    def test_each_part_of_the_key_makes_it_another_certificate(self, told, part):
        records, scope = told
        records.add(scope, "detector", 1, make_certificate(made=1))
        records.add(scope, "detector", 1, make_certificate(made=2, **{part: "another"}))
        keys = [one.certificate.key for one in records.list(scope, "detector", 1)]
        assert [getattr(key, part) for key in keys] == ["another", getattr(SOMEWHERE, part)]

    def test_all_versions_are_listed_newest_first(self, told):
        records, scope = told
        records.add(scope, "detector", 2, make_certificate(2, made=5))
        records.add(scope, "detector", 1, make_certificate(1, made=9))
        assert [one.version for one in records.list(scope, "detector")] == [1, 2]
        assert [one.version for one in records.list(scope, "detector", 2)] == [2]

    def test_a_certificate_of_another_bundle_is_refused(self, told):
        records, scope = told
        with pytest.raises(Conflict):
            records.add(scope, "detector", 1, make_certificate(2))
        assert records.list(scope, "detector") == []

    @pytest.mark.parametrize(("name", "version"), [("detector", 3), ("nobody", 1)])
    def test_no_such_version(self, told, name, version):
        records, scope = told
        with pytest.raises(ModelNotFound):
            records.add(scope, name, version, make_certificate())
        with pytest.raises(ModelNotFound):
            records.list(scope, name, version)


class TestInMemory(Every):
    @pytest.fixture
    def told(self) -> Told:
        digests = {("detector", n): Digest(f"{n:064x}") for n in (1, 2)}
        return MemoryCertificates(digests), TenantScope("o", "p", "key_a")


class TestOnSql(Every):
    @pytest.fixture
    def told(self, world, engineer) -> Told:
        for number in (1, 2):
            world.tenancy.records.add_version(engineer, make_version(number))
        return world.tenancy.certificates, engineer


def _standings(world):
    (model,) = world.tenancy.table().models
    return model.versions[0].certificates


def test_replicas_hear_of_the_newest_in_the_hub_table(world, engineer):
    world.tenancy.records.add_version(engineer, make_version(1))
    assert _standings(world) == []
    before = world.tenancy.table().version
    world.tenancy.certificates.add(engineer, "detector", 1, make_certificate())
    assert world.tenancy.table().version != before
    passed = standing_in(_standings(world), SOMEWHERE)
    assert passed is not None
    assert passed.passed
    assert passed.placement == {"CPUExecutionProvider": 3}
    elsewhere = SOMEWHERE.model_copy(update={"runtime": "onnxruntime 2"})
    assert standing_in(_standings(world), elsewhere) is None
    world.tenancy.certificates.add(engineer, "detector", 1, make_certificate(passed=False))
    (failed,) = _standings(world)
    assert (failed.passed, failed.reason) == (False, "it is slow")


def test_a_registration_writes_them_with_the_version(world, engineer):
    new = make_version(1)
    made = (make_certificate(), make_certificate(provider="openvino"))
    new = type(new)(**{**{f: getattr(new, f) for f in new.__slots__}, "certificates": made})
    world.tenancy.records.add_version(engineer, new)
    assert {one.provider for one in _standings(world)} == {"cpu", "openvino"}


def test_every_write_is_audited(world, engineer):
    world.tenancy.records.add_version(engineer, make_version(1))
    world.tenancy.certificates.add(engineer, "main.detector", 1, make_certificate())
    (model,) = world.tenancy.table().models
    world.tenancy.certificates.add_of_node(model.id, 1, make_certificate())
    auditor = world.scope_of("acme", Role.AUDITOR, Right.AUDIT_READ)
    entries = [e for e in world.tenancy.audit.list(auditor) if e.action == "certificate.add"]
    assert [entry.actor for entry in entries] == ["node", engineer.actor]
    assert entries[1].after == {
        "version": 1,
        "digest": make_version(1).digest,
        "provider": "cpu",
        "environment": SOMEWHERE.fingerprint,
        "passed": True,
    }


def test_a_node_cannot_certify_what_is_not_there_or_another_bundle(world, engineer):
    world.tenancy.records.add_version(engineer, make_version(1))
    (model,) = world.tenancy.table().models
    with pytest.raises(ModelNotFound):
        world.tenancy.certificates.add_of_node(model.id, 2, make_certificate())
    with pytest.raises(Conflict):
        world.tenancy.certificates.add_of_node(model.id, 1, make_certificate(2))
    assert _standings(world) == []


def test_strangers_see_where_a_public_model_runs_and_not_why_it_does_not_elsewhere(world, acme):
    scope = world.tenancy.scope(world.operator, WRITE, organisation="acme", project="main")
    public = make_version(1, visibility=Visibility.PUBLIC)
    world.tenancy.records.add_version(scope, public)
    world.tenancy.certificates.add(scope, "detector", 1, make_certificate())
    failed = make_certificate(provider="openvino", passed=False)
    world.tenancy.certificates.add(scope, "detector", 1, failed)
    world.organisation("city")
    stranger = world.scope_of("city", Role.ENGINEER, WRITE)
    name = "acme.main.detector"
    (seen,) = world.tenancy.certificates.list(stranger, name)
    assert seen.certificate.key.provider == "cpu"
    (version,) = world.tenancy.records.get(stranger, name).versions
    assert [one.provider for one in version.certificates] == ["cpu"]
    with pytest.raises((ModelNotFound, Forbidden)):
        world.tenancy.certificates.add(stranger, name, 1, make_certificate())


def test_they_go_with_a_version_that_is_cleared_away(world, engineer):
    for number in (1, 2):
        world.tenancy.records.add_version(engineer, make_version(number))
    world.tenancy.aliases.promote(engineer, "detector", "champion", 2)
    world.tenancy.certificates.add(engineer, "detector", 1, make_certificate())
    world.tenancy.lifecycle.retire(engineer, "detector", 1)
    (gone,) = world.tenancy.collector.remove(engineer, 0)
    assert gone.version == 1
    assert world.tenancy.certificates.list(engineer, "detector") == []
