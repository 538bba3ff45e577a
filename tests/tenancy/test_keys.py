"""Keys: never more than their maker, shown once, kept only as a MAC."""

from __future__ import annotations

import contextlib
import itertools

import pytest
import sqlalchemy
from hypothesis import strategies as st

from plaza_core.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from plaza_core.ids import KeyId
from plaza_core.principal import RIGHTS, Principal, Right, Role, TenantScope
from plaza_core.table import RateLimit
from plaza_tenancy.keys import check_maker
from plaza_tenancy.schema import Base
from tests.tenancy.drawn import drawn

_names = (f"org{n}" for n in itertools.count())


def test_a_new_key_works_and_its_listing_shows_no_secret(world, acme):
    rate = RateLimit(per_second=5, burst=10)
    new = world.tenancy.keys.create(acme, role=Role.ENGINEER, label="CI", rate=rate)
    assert world.tenancy.authenticate(new.text).key == new.id
    (info,) = world.tenancy.keys.list(acme)
    assert (info.role, info.label, info.rate, info.project) == (Role.ENGINEER, "CI", rate, None)
    assert new.mac not in repr(info)
    assert new.text not in repr(info)


def test_no_secret_reaches_the_database(world, acme):
    texts = [world.key("acme", Role.CONSUMER) for _ in range(50)]
    with world.tenancy._store.read_everything() as session:
        rows = [
            repr(row)
            for table in Base.metadata.sorted_tables
            for row in session.execute(sqlalchemy.select(table))
        ]
    everything = "\n".join(rows)
    for text in texts:
        identity, secret = text.split("_")[1:3]
        assert identity in everything
        assert secret not in everything


def test_an_admin_makes_keys_of_every_role(world, acme):
    scope = world.scope_of("acme", Role.ADMIN, Right.KEYS_WRITE)
    for role in Role:
        text = world.tenancy.keys.create(scope, role=role).text
        assert world.tenancy.authenticate(text).role is role


@drawn(
    maker_role=st.sampled_from(list(Role)),
    maker_bound=st.booleans(),
    maker_operates=st.booleans(),
    role=st.sampled_from(list(Role)),
    where=st.sampled_from(["whole", "own", "other"]),
    elsewhere=st.booleans(),
    data=st.data(),
    short=20,
    long=600,
)
def test_no_key_makes_more_than_it_is(
    shared_world, maker_role, maker_bound, maker_operates, role, where, elsewhere, data
):
    world, tenancy = shared_world, shared_world.tenancy
    name = next(_names)
    world.organisation(name)
    home = "plaza" if maker_operates else name
    own = "shared" if maker_operates else "main"
    maker = world.member(home, maker_role, project=own if maker_bound else None)
    # Whatever right opened the scope, and however the scope was chosen.
    right = data.draw(st.sampled_from(sorted(RIGHTS[maker_role])))
    project = {"whole": None, "own": own, "other": "elsewhere"}[where]
    try:
        scope = tenancy.scope(
            maker, right, organisation=name if elsewhere else None, project=project
        )
        text = tenancy.keys.create(scope, role=role).text
    except (Forbidden, NotFound):
        assert not (maker_role is Role.ADMIN and where == "whole" and not maker_bound)
        return
    child = tenancy.authenticate(text)
    assert RIGHTS[child.role] <= RIGHTS[maker.role]
    assert maker.may(Right.KEYS_WRITE)
    assert child.organisation == maker.organisation or maker.operator
    assert maker.project is None or child.project == maker.project
    assert maker.operator or not child.operator


test_that_for_long = test_no_key_makes_more_than_it_is.for_long


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("maker_role", list(Role))
def test_the_rule_holds_by_itself_whatever_scope_reaches_it(maker_role, role):
    """Scopes are minted within bounds already; this is the second wall, without the first."""
    places = [("org_a", None), ("org_a", "prj_1"), ("org_a", "prj_2"), ("org_b", None)]
    for (home, bound), (target, project), operator in itertools.product(
        places, places, (False, True)
    ):
        maker = Principal(KeyId("k"), home, home, bound, bound, maker_role, operator)
        scope = TenantScope(target, project, "k")
        allowed = (
            maker_role is Role.ADMIN
            and (home == target or operator)
            and (bound is None or (bound == project))
        )
        with contextlib.nullcontext() if allowed else pytest.raises(Forbidden):
            check_maker(maker, scope, role)


def test_a_role_that_may_make_keys_still_makes_no_greater_ones(world, acme, monkeypatch):
    """Today only admins make keys; the rule does not lean on that."""
    more = RIGHTS[Role.ENGINEER] | {Right.KEYS_WRITE}
    monkeypatch.setitem(RIGHTS, Role.ENGINEER, more)
    scope = world.scope_of("acme", Role.ENGINEER, Right.KEYS_WRITE)
    for role in (Role.ENGINEER, Role.CONSUMER):
        world.tenancy.keys.create(scope, role=role)
    for role in (Role.ADMIN, Role.AUDITOR):
        with pytest.raises(Forbidden, match="cannot make"):
            world.tenancy.keys.create(scope, role=role)


def test_the_maker_is_judged_by_what_is_stored_not_by_what_it_was(world, acme):
    text = world.key("acme", Role.ADMIN)
    who = world.tenancy.authenticate(text)
    scope = world.tenancy.scope(who, Right.KEYS_WRITE)
    world.tenancy.keys.revoke(acme, KeyId(who.key))
    with pytest.raises(Forbidden, match="not usable any more"):
        world.tenancy.keys.create(scope, role=Role.CONSUMER)


def test_an_expiry_lies_in_the_future(world, acme):
    for past in (0, world.clock.unix_us()):
        with pytest.raises(InvalidInput) as refused:
            world.tenancy.keys.create(acme, role=Role.CONSUMER, expires_unix_us=past)
        assert refused.value.input == "expires_unix_us"


@pytest.mark.parametrize("label", ["x" * 201, "two\nlines", "\x1b[31m", "nul\0"])
def test_a_label_is_one_printable_line(world, acme, label):
    with pytest.raises(InvalidInput) as refused:
        world.tenancy.keys.create(acme, role=Role.CONSUMER, label=label)
    assert refused.value.input == "label"


@pytest.mark.parametrize("rate", [(0, 1), (-1, 1), (float("nan"), 1), (float("inf"), 1), (1, 0)])
def test_a_rate_is_a_positive_number(world, acme, rate):
    limit = RateLimit(per_second=rate[0], burst=rate[1])
    key = KeyId(world.tenancy.authenticate(world.key("acme", Role.CONSUMER)).key)
    changes = [
        lambda: world.tenancy.keys.create(acme, role=Role.CONSUMER, rate=limit),
        lambda: world.tenancy.keys.set_rate(acme, key, limit),
        lambda: world.tenancy.projects.create(acme, "lab", rate=limit),
        lambda: world.tenancy.projects.set_rate(acme, "main", limit),
        lambda: world.tenancy.organisations.set_rate(world.platform(), "acme", limit),
        lambda: world.tenancy.organisations.create(world.platform(), "new", rate=limit),
    ]
    for change in changes:
        with pytest.raises(InvalidInput):
            change()


def test_a_rate_can_be_given_and_taken_away(world, acme):
    key = KeyId(world.tenancy.authenticate(world.key("acme", Role.CONSUMER)).key)
    rate = RateLimit(per_second=0.5, burst=1)
    assert world.tenancy.keys.set_rate(acme, key, rate).rate == rate
    assert world.tenancy.keys.get(acme, key).rate == rate
    assert world.tenancy.keys.set_rate(acme, key, None).rate is None


def test_revoking_twice_keeps_the_first_time(world, acme):
    text = world.key("acme", Role.CONSUMER)
    key = KeyId(world.tenancy.authenticate(text).key)
    first = world.tenancy.keys.revoke(acme, key)
    world.clock.advance(5)
    assert world.tenancy.keys.revoke(acme, key) == first
    with pytest.raises(Unauthenticated):
        world.tenancy.authenticate(text)


def test_keys_are_listed_newest_first_within_the_scope(world, acme):
    world.organisation("city")
    world.key("city", Role.CONSUMER)
    made = []
    for project in (None, "main"):
        world.clock.advance(1)
        text = world.key("acme", Role.CONSUMER, project=project)
        made.append(text.split("_")[1])
    assert [key.id for key in world.tenancy.keys.list(acme)] == made[::-1]
    main = world.tenancy.scope(world.operator, Right.KEYS_READ, organisation="acme", project="main")
    assert [key.id for key in world.tenancy.keys.list(main)] == made[1:]
    everybody = world.tenancy.keys.list(world.platform())
    assert {key.organisation_name for key in everybody} == {"plaza", "acme", "city"}
