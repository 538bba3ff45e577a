"""Models, versions, aliases and what MLflow must hear."""

from __future__ import annotations

import itertools
import threading

import pytest
from hypothesis import strategies as st

from plaza_core.errors import Conflict, Forbidden, InvalidInput, ModelNotFound, NotFound
from plaza_core.ports import ModelRecords
from plaza_core.principal import Right, Role
from plaza_core.table import Visibility
from tests.tenancy.drawn import drawn
from tests.tenancy.world import make_version

WRITE = Right.MODELS_WRITE
_names = (f"model{n}" for n in itertools.count())


@pytest.fixture
def engineer(world, acme):
    return world.scope_of("acme", Role.ENGINEER, WRITE)


@pytest.fixture
def records(world) -> ModelRecords:
    return world.tenancy.records


def test_the_first_version_becomes_champion(records, engineer):
    version, created = records.add_version(engineer, make_version(1, card="# About"))
    assert created
    assert (version.version, version.name, version.family) == (1, "detector", "tensor")
    model = records.get(engineer, "detector")
    assert model.aliases == {"champion": 1}
    assert [entry.version for entry in model.versions] == [1]
    assert model.versions[0].manifest == make_version().manifest
    assert list(model.versions[0].files) == list(make_version().files)


def test_later_versions_wait_for_their_alias(records, engineer):
    for digest in (1, 2, 3):
        records.add_version(engineer, make_version(digest))
    assert records.get(engineer, "detector").aliases == {"champion": 1}
    model = records.set_alias(engineer, "detector", "champion", 3)
    assert model.aliases == {"champion": 3}
    model = records.set_alias(engineer, "main.detector", "candidate", 2)
    assert model.aliases == {"candidate": 2, "champion": 3}
    assert [v.version for v in records.versions(engineer, "acme.main.detector")] == [3, 2, 1]


def test_the_same_digest_again_changes_nothing(world, records, engineer):
    first, _ = records.add_version(engineer, make_version(1, card="first"))
    before = world.tenancy.table_version(), len(world.tenancy.proposals.pending(100))
    world.clock.advance(5)
    again, created = records.add_version(engineer, make_version(1, card="second"))
    assert (again, created) == (first, False)
    assert (world.tenancy.table_version(), len(world.tenancy.proposals.pending(100))) == before


def test_the_same_digest_under_another_name_is_another_model(records, engineer):
    one, _ = records.add_version(engineer, make_version(1))
    two, created = records.add_version(engineer, make_version(1, name="other"))
    assert created
    assert one.model != two.model


def test_pointing_an_alias_where_it_points_changes_nothing(world, records, engineer):
    records.add_version(engineer, make_version(1))
    before = world.tenancy.table_version(), len(world.tenancy.proposals.pending(100))
    records.set_alias(engineer, "detector", "champion", 1)
    assert (world.tenancy.table_version(), len(world.tenancy.proposals.pending(100))) == before


@pytest.mark.parametrize("alias", ["", "3", "a.b", "Champion"])
def test_an_alias_is_a_name_and_no_number(records, engineer, alias):
    records.add_version(engineer, make_version(1))
    with pytest.raises(InvalidInput) as refused:
        records.set_alias(engineer, "detector", alias, 1)
    assert refused.value.input == "alias"


def test_what_is_not_there_is_not_found(records, engineer):
    records.add_version(engineer, make_version(1))
    with pytest.raises(ModelNotFound):
        records.get(engineer, "nothing")
    with pytest.raises(ModelNotFound) as refused:
        records.set_alias(engineer, "detector", "champion", 2)
    assert refused.value.input == "version"
    with pytest.raises(NotFound) as missing:
        records.add_version(engineer, make_version(2, project="nowhere"))
    assert missing.value.input == "project"


def test_a_key_of_one_project_registers_there_only(world, acme, records):
    world.tenancy.projects.create(acme, "lab")
    lab = world.scope_of("acme", Role.ENGINEER, WRITE, project="lab")
    records.add_version(lab, make_version(project="lab"))
    with pytest.raises(NotFound):
        records.add_version(lab, make_version(project="main"))


def test_only_operators_register_what_is_public_from_the_start(world, records, engineer):
    public = make_version(1, visibility=Visibility.PUBLIC)
    admin = world.scope_of("acme", Role.ADMIN, Right.MODELS_PUBLISH)
    for scope in (engineer, admin):
        with pytest.raises(Forbidden):
            records.add_version(scope, public)
        with pytest.raises(ModelNotFound):
            records.get(scope, "detector")
    for_acme = world.tenancy.scope(world.operator, WRITE, organisation="acme")
    records.add_version(for_acme, public)
    assert records.get(engineer, "detector").visibility is Visibility.PUBLIC


def test_a_version_does_not_change_who_sees_the_model(world, records, engineer):
    records.add_version(engineer, make_version(1))
    wider = make_version(2, visibility=Visibility.ORGANISATION)
    with pytest.raises(Conflict, match="'project'"):
        records.add_version(engineer, wider)
    world.tenancy.visibility.set(engineer, "detector", Visibility.ORGANISATION)
    assert records.add_version(engineer, wider)[0].version == 2


def test_a_version_need_not_say_who_sees_the_model(world, records, engineer):
    records.add_version(engineer, make_version(1, visibility=None))
    assert records.get(engineer, "detector").visibility is Visibility.PROJECT
    world.tenancy.visibility.set(engineer, "detector", Visibility.ORGANISATION)
    assert records.add_version(engineer, make_version(2, visibility=None))[0].version == 2
    assert records.get(engineer, "detector").visibility is Visibility.ORGANISATION


def test_models_are_listed_from_near_to_far(world, acme, records):
    world.tenancy.projects.create(acme, "lab")
    plaza = world.tenancy.scope(world.operator, WRITE)
    city = world.organisation("city")
    inside, public = Visibility.ORGANISATION, Visibility.PUBLIC
    records.add_version(city, make_version(visibility=public))
    records.add_version(city, make_version(name="secret", visibility=inside))
    records.add_version(plaza, make_version(project="shared", visibility=public))
    records.add_version(acme, make_version(visibility=inside))
    records.add_version(acme, make_version(name="private"))
    records.add_version(acme, make_version(project="lab"))
    lab = world.scope_of("acme", Role.CONSUMER, Right.MODELS_READ, project="lab")
    seen = [f"{m.organisation_name}.{m.project_name}.{m.name}" for m in records.visible(lab)]
    assert seen == [
        "acme.lab.detector",
        "acme.main.detector",
        "plaza.shared.detector",
        "city.main.detector",
    ]
    assert records.get(lab, "detector").project_name == "lab"
    assert records.get(lab, "shared.detector").organisation_name == "plaza"
    assert records.get(lab, "city.main.detector").organisation_name == "city"
    for hidden in ("private", "main.private", "acme.main.private", "city.main.secret", "secret"):
        with pytest.raises(ModelNotFound):
            records.get(lab, hidden)
        with pytest.raises(ModelNotFound):
            records.versions(lab, hidden)
    for others in ("shared.detector", "city.main.detector", "main.detector"):
        with pytest.raises(ModelNotFound):
            records.set_alias(lab, others, "champion", 1)


def test_public_models_of_a_suspended_organisation_disappear(world, acme, records):
    city = world.organisation("city")
    records.add_version(city, make_version(visibility=Visibility.PUBLIC))
    consumer = world.scope_of("acme", Role.CONSUMER, Right.MODELS_READ)
    assert records.get(consumer, "detector").organisation_name == "city"
    world.tenancy.organisations.suspend(world.platform(), "city")
    assert records.visible(consumer) == []
    assert records.get(city, "detector").organisation_name == "city"  # an operator still looks


def test_mlflow_hears_of_everything_once_and_in_order(world, records, engineer):
    version, _ = records.add_version(engineer, make_version(1, card="# About"))
    records.add_version(engineer, make_version(2))
    records.set_alias(engineer, "detector", "champion", 2)
    items = world.tenancy.proposals.pending(100)
    moved = ["alias", "state"]
    assert [item.kind for item in items] == ["version", *moved, "version", *moved, "state"]
    assert [(i.payload["version"], i.payload["state"]) for i in items if i.kind == "state"] == [
        (1, "serving"),
        (1, "examined"),
        (2, "serving"),
    ]
    assert [item.id for item in items] == sorted(item.id for item in items)
    first = items[0].payload
    assert first["model"] == version.model
    assert (first["version"], first["card"], first["name"]) == (1, "# About", "detector")
    assert (first["digest"], first["family"]) == (version.digest, "tensor")
    assert first["examination"]["nodes"] == {"CPUExecutionProvider": 3}
    assert items[4].payload == {"model": version.model, "alias": "champion", "version": 2}
    assert world.tenancy.proposals.pending(1) == items[:1]
    world.tenancy.proposals.done(items[0].id)
    world.tenancy.proposals.done(items[0].id)
    assert world.tenancy.proposals.pending(100) == items[1:]


def test_versions_added_at_the_same_time_count_up_without_gap(world, engineer, records):
    made, failed = [], []
    start = threading.Barrier(6)

    def work(worker: int) -> None:
        start.wait()
        try:
            for n in range(5):
                new = make_version(1 + worker * 5 + n)
                made.append(records.add_version(engineer, new)[0].version)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sorted(made) == list(range(1, 31))
    assert records.get(engineer, "detector").aliases == {"champion": 1}
    assert sum(item.kind == "version" for item in world.tenancy.proposals.pending(100)) == 30


@drawn(
    digests=st.lists(st.integers(1, 5), min_size=1, max_size=12),
    short=10,
    long=300,
)
def test_registering_is_idempotent_in_any_order(shared_world, digests):
    name = next(_names)
    scope = shared_world.tenancy.scope(shared_world.operator, WRITE)
    records = shared_world.tenancy.records
    number: dict[int, int] = {}
    for digest in digests:
        new = make_version(digest, name=name, project="shared")
        version, created = records.add_version(scope, new)
        assert created == (digest not in number)
        assert version.version == number.setdefault(digest, len(number) + 1)
    entry = records.get(scope, name)
    assert [v.version for v in entry.versions] == list(range(1, len(number) + 1))


test_that_for_long = test_registering_is_idempotent_in_any_order.for_long
