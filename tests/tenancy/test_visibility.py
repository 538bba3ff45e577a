"""Who may call a model: its own organisation decides, up to the door; beyond it the hub does."""

from __future__ import annotations

import pytest
import sqlalchemy

from plaza_core.errors import Conflict, Forbidden, InvalidInput, ModelNotFound, NotFound
from plaza_core.principal import Right, Role
from plaza_core.rollout import GatePolicy, RolloutKind
from plaza_core.table import RequestState, Visibility
from plaza_tenancy.views import Dimension
from tests.tenancy.test_wall import TENANTS, only_postgres, whose
from tests.tenancy.world import make_record, make_version

M = "detector"


@pytest.fixture
def admin(world, acme):
    world.tenancy.records.add_version(acme, make_version(1))
    return world.scope_of("acme", Role.ADMIN, Right.MODELS_PUBLISH)


@pytest.fixture
def engineer(world, admin):
    return world.scope_of("acme", Role.ENGINEER, Right.MODELS_WRITE)


@pytest.fixture
def city(world):
    world.organisation("city")
    return world.scope_of("city", Role.CONSUMER, Right.MODELS_READ)


def sees(world, scope):
    return [model.name for model in world.tenancy.records.visible(scope)]


def in_table(world):
    (model,) = world.tenancy.table().models
    return model


# ── by name ──────────────────────────────────────────────────────────────────────────────────────
def test_those_named_call_it_and_nobody_else(world, admin, city):
    world.organisation("lake")
    lake = world.scope_of("lake", Role.CONSUMER, Right.MODELS_READ)
    shared = world.tenancy.visibility.share(admin, M, ["city"])
    assert (shared.visibility, shared.shared_with) == (Visibility.SHARED, [city.organisation])
    assert (sees(world, city), sees(world, lake)) == ([M], [])
    assert in_table(world).shared_with == [city.organisation]
    assert world.tenancy.records.get(city, "acme.main.detector").shared_with == [city.organisation]
    (guest,) = world.tenancy.visibility.guests(admin, M)
    assert (guest.organisation_name, guest.by) == ("city", admin.actor)
    with pytest.raises(ModelNotFound):
        world.tenancy.visibility.guests(city, M)


def test_a_guest_does_not_learn_of_other_guests(world, admin, city):
    lake = world.organisation("lake")
    world.tenancy.visibility.share(admin, M, ["city", "lake"])
    seen = world.tenancy.records.get(city, M)
    assert seen.shared_with == [city.organisation]
    assert lake.organisation not in repr(seen)


def test_sharing_ends_for_one_and_for_all(world, admin, engineer, city):
    visibility = world.tenancy.visibility
    world.organisation("lake")
    lake = world.scope_of("lake", Role.CONSUMER, Right.MODELS_READ)
    visibility.share(admin, M, ["city", "lake"])
    visibility.unshare(engineer, M, "lake")
    assert (sees(world, city), sees(world, lake)) == ([M], [])
    visibility.set(engineer, M, Visibility.ORGANISATION)
    assert sees(world, city) == []
    visibility.set(admin, M, Visibility.SHARED)
    assert sees(world, city) == [M], "who was named is still named"


def test_a_suspended_organisations_models_are_nobodys(world, admin, city):
    world.tenancy.visibility.share(admin, M, ["city"])
    world.tenancy.organisations.suspend(world.platform(), "acme")
    assert sees(world, city) == []
    assert world.tenancy.table().models == []


def test_only_who_may_publish_opens_the_door_and_learns_names(world, engineer, admin, city):
    for guest in ("city", "nobody-of-this-name"):
        with pytest.raises(Forbidden):
            world.tenancy.visibility.share(engineer, M, [guest])
    with pytest.raises(Forbidden):
        world.tenancy.visibility.set(engineer, M, Visibility.SHARED)
    with pytest.raises(NotFound) as refused:
        world.tenancy.visibility.share(admin, M, ["city", "nobody-of-this-name"])
    assert refused.value.input == "organisations"
    with pytest.raises(InvalidInput):
        world.tenancy.visibility.share(admin, M, ["acme"])
    assert sees(world, city) == []


def test_bills_name_models_that_are_shared(world, admin, city):
    world.tenancy.visibility.share(admin, M, ["city"])
    model = in_table(world).id
    record = make_record(city.organisation, "r1", model=model)
    world.tenancy.ledger.ingest([record])
    (line,) = world.tenancy.ledger.report(city, since_us=0, until_us=2**62, by=[Dimension.MODEL])
    assert line.labels == {Dimension.MODEL: M}


# ── for everybody ────────────────────────────────────────────────────────────────────────────────
def test_a_model_is_public_once_an_operator_approves(world, admin, city):
    visibility = world.tenancy.visibility
    asked = visibility.publish(admin, M, note="licence cleared")
    assert asked.request is not None
    assert asked.model.visibility is Visibility.PROJECT
    assert visibility.publish(admin, M).request == asked.request, "asking again is one request"
    assert sees(world, city) == []
    (waiting,) = visibility.requests(world.platform())
    assert (waiting.model, waiting.note) == ("acme.main.detector", "licence cleared")
    approved = visibility.approve(world.platform(), waiting.id)
    assert (approved.state, approved.decided_by) == (RequestState.APPROVED, world.operator.key)
    assert visibility.approve(world.platform(), waiting.id) == approved
    assert sees(world, city) == [M]
    assert visibility.requests(world.platform()) == []
    assert visibility.publish(admin, M).request is None


def test_a_refusal_says_why_and_one_may_ask_again(world, admin, city):
    visibility = world.tenancy.visibility
    first = visibility.publish(admin, M).request
    visibility.reject(world.platform(), first.id, reason="no licence")
    (told,) = visibility.requests(admin, None)
    assert (told.state, told.reason) == (RequestState.REJECTED, "no licence")
    with pytest.raises(Conflict, match="rejected"):
        visibility.approve(world.platform(), first.id)
    again = visibility.publish(admin, M).request
    assert again.id != first.id
    assert sees(world, city) == []


def test_choosing_another_visibility_drops_the_request(world, admin, engineer):
    visibility = world.tenancy.visibility
    asked = visibility.publish(admin, M).request
    visibility.set(engineer, M, Visibility.PROJECT)
    with pytest.raises(Conflict, match="dropped"):
        visibility.approve(world.platform(), asked.id)


def test_who_decides_for_the_hub_need_not_ask(world, admin, city):
    visibility = world.tenancy.visibility
    visibility.publish(admin, M)
    mine = world.tenancy.scope(world.operator, Right.MODELS_PUBLISH, organisation="acme")
    assert visibility.publish(mine, M).request is None
    assert sees(world, city) == [M]
    (done,) = visibility.requests(world.platform(), None)
    assert done.state is RequestState.APPROVED


def test_nobody_else_publishes_or_decides(world, admin, engineer, city):
    visibility = world.tenancy.visibility
    for scope in (admin, engineer):
        with pytest.raises(Forbidden):
            visibility.set(scope, M, Visibility.PUBLIC)
    with pytest.raises(Forbidden):
        visibility.publish(engineer, M)
    asked = visibility.publish(admin, M).request
    for verb in (visibility.approve, lambda s, r: visibility.reject(s, r, reason="x")):
        with pytest.raises(Forbidden):
            verb(admin, asked.id)
    auditor = world.member("plaza", Role.AUDITOR)
    with pytest.raises(Forbidden):
        looking = world.tenancy.scope(auditor, Right.MODELS_READ, organisation="acme")
        visibility.publish(looking, M)
    assert visibility.requests(city) == []


# ── the wall ─────────────────────────────────────────────────────────────────────────────────────
@only_postgres
def test_a_shared_model_shows_its_guest_itself_and_the_names_above_it(world, acme, admin, city):
    """And another organisation nothing at all."""
    tenancy = world.tenancy
    lake = world.organisation("lake")
    tenancy.records.add_version(acme, make_version(2, name="secret"))
    tenancy.records.add_version(acme, make_version(3))
    tenancy.rollouts.start(
        acme, M, "champion", 2, kind=RolloutKind.SHADOW, part=9, policy=GatePolicy()
    )
    tenancy.search.tag(acme, M, add=["night"])
    tenancy.visibility.publish(admin, M)
    hidden = tenancy.projects.create(acme, "hidden")
    tenancy.visibility.share(admin, M, ["city", "plaza"])

    def seen_by(scope):
        found = {}
        with tenancy._store.read(scope) as session:
            for table in TENANTS:
                query = table.select().where(whose(table) == acme.organisation)
                found[table.name] = session.execute(query).mappings().all()
        return {name: rows for name, rows in found.items() if rows}

    assert seen_by(lake) == {}
    seen = seen_by(city)
    shown = {"organisations", "projects", "models", "model_versions", "aliases", "model_tags"}
    assert set(seen) == shown | {"model_shares"}
    assert [row["name"] for row in seen["models"]] == [M]
    assert {row["model"] for row in seen["model_versions"]} == {seen["models"][0]["id"]}
    assert hidden.id not in [row["id"] for row in seen["projects"]]
    assert [row["guest"] for row in seen["model_shares"]] == [city.organisation]
    tenancy.visibility.set(admin, M, Visibility.ORGANISATION)
    assert set(seen_by(city)) == {"model_shares"}
    with tenancy._store.append(city) as session:
        written = session.execute(
            sqlalchemy.text("UPDATE model_shares SET at = 0 WHERE guest = :guest"),
            {"guest": city.organisation},
        )
        assert written.rowcount == 0, "a guest only looks"
