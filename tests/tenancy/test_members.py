"""People: invited by e-mail, bound at their first login, never more than who invited them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import strategies as st

from plaza_core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from plaza_core.principal import RIGHTS, Right, Role
from plaza_tenancy.views import Person
from tests.tenancy.drawn import drawn

ISSUER = "https://login.test"
HOUR_US = 3_600_000_000
_names = (f"club{n}" for n in itertools.count())


def person(name: str, email: str | None = None) -> Person:
    return Person(ISSUER, f"sub-{name}", email or f"{name}@acme.test")


def login(world, who: Person):
    """What a browser does: bind invitations, open a session, use it."""
    world.tenancy.members.bind(who)
    return world.tenancy.sessions.open(who, lifetime_us=HOUR_US)


def test_an_invitation_becomes_a_membership_at_the_first_login(world, acme):
    invited = world.tenancy.members.add(acme, " Ann@Acme.test ", role=Role.ENGINEER)
    assert (invited.email, invited.joined_unix_us) == ("ann@acme.test", None)
    text = login(world, person("ann")).text
    (me,) = world.tenancy.sessions.find(text).memberships
    assert (me.key, me.organisation_name, me.role) == (invited.id, "acme", Role.ENGINEER)
    joined = world.tenancy.members.get(acme, invited.id)
    assert (joined.issuer, joined.subject) == (ISSUER, "sub-ann")
    assert joined.joined_unix_us == world.clock.unix_us()


def test_whoever_gets_the_address_later_is_somebody_else(world, acme):
    world.tenancy.members.add(acme, "ann@acme.test", role=Role.ADMIN)
    login(world, person("ann"))
    heir = Person(ISSUER, "sub-heir", "ann@acme.test")
    assert world.tenancy.sessions.find(login(world, heir).text).memberships == ()
    elsewhere = Person("https://other.test", "sub-ann", "ann@acme.test")
    assert world.tenancy.sessions.find(login(world, elsewhere).text).memberships == ()


def test_a_removed_member_is_out_at_once_and_in_every_browser(world, acme):
    member = world.tenancy.members.add(acme, "ann@acme.test", role=Role.ADMIN)
    texts = [login(world, person("ann")).text for _ in range(2)]
    (me,) = world.tenancy.sessions.find(texts[0]).memberships
    scope = world.tenancy.scope(me, Right.KEYS_WRITE)
    removed = world.tenancy.members.remove(acme, member.id)
    assert world.tenancy.members.remove(acme, member.id) == removed
    for text in texts:
        assert world.tenancy.sessions.find(text).memberships == ()
    with pytest.raises(Forbidden, match="does not count"):
        world.tenancy.keys.create(scope, role=Role.CONSUMER)
    with pytest.raises(Conflict):
        world.tenancy.members.set_role(acme, member.id, Role.ADMIN)


def test_a_removed_invitation_binds_nobody(world, acme):
    member = world.tenancy.members.add(acme, "ann@acme.test", role=Role.ADMIN)
    world.tenancy.members.remove(acme, member.id)
    assert world.tenancy.members.bind(person("ann")) == 0
    again = world.tenancy.members.add(acme, "ann@acme.test", role=Role.CONSUMER)
    assert world.tenancy.members.bind(person("ann")) == 1
    (me,) = world.tenancy.sessions.find(login(world, person("ann")).text).memberships
    assert me.key == again.id


def test_one_person_may_be_a_member_of_several(world, acme):
    for name in ("city", "bank"):
        scope = world.organisation(name)
        world.tenancy.members.add(scope, "ann@acme.test", role=Role.AUDITOR)
    project = world.tenancy.scope(
        world.operator, Right.MEMBERS_WRITE, organisation="acme", project="main"
    )
    world.tenancy.members.add(project, "ann@acme.test", role=Role.ADMIN)
    world.tenancy.members.add(acme, "ann@acme.test", role=Role.CONSUMER)
    text = login(world, person("ann")).text
    found = world.tenancy.sessions.find(text).memberships
    assert [(m.organisation_name, m.project_name, m.role) for m in found] == [
        ("acme", None, Role.CONSUMER),
        ("acme", "main", Role.ADMIN),
        ("bank", None, Role.AUDITOR),
        ("city", None, Role.AUDITOR),
    ]
    world.tenancy.organisations.suspend(world.platform(), "bank")
    found = world.tenancy.sessions.find(text).memberships
    assert {m.organisation_name for m in found} == {"acme", "city"}


def test_the_same_person_is_invited_once_per_node(world, acme):
    world.tenancy.members.add(acme, "ann@acme.test", role=Role.ADMIN)
    with pytest.raises(Conflict):
        world.tenancy.members.add(acme, "ANN@acme.test", role=Role.CONSUMER)


@pytest.mark.parametrize(
    "email",
    ["", "ann", "ann@", "@acme.test", "a b@c.test", "a@b@c", "a\n@b.test", "x" * 300 + "@a"],
)
def test_what_is_no_address_is_refused(world, acme, email):
    with pytest.raises(InvalidInput):
        world.tenancy.members.add(acme, email, role=Role.CONSUMER)


def test_a_role_changes_and_the_next_request_knows(world, acme):
    member = world.tenancy.members.add(acme, "ann@acme.test", role=Role.CONSUMER)
    text = login(world, person("ann")).text
    world.tenancy.members.set_role(acme, member.id, Role.AUDITOR)
    (me,) = world.tenancy.sessions.find(text).memberships
    assert me.role is Role.AUDITOR


def test_operators_are_people_too(world):
    plaza = world.tenancy.scope(world.operator, Right.MEMBERS_WRITE)
    world.tenancy.members.add(plaza, "op@hub.test", role=Role.ADMIN)
    shared = world.tenancy.scope(world.operator, Right.MEMBERS_WRITE, project="shared")
    world.tenancy.members.add(shared, "helper@hub.test", role=Role.ADMIN)
    (op,) = world.tenancy.sessions.find(login(world, person("op", "op@hub.test")).text).memberships
    helper = person("helper", "helper@hub.test")
    (bound,) = world.tenancy.sessions.find(login(world, helper).text).memberships
    assert (op.operator, bound.operator) == (True, False)
    world.organisation("city")
    far = world.tenancy.scope(op, Right.MEMBERS_WRITE, organisation="city")
    assert world.tenancy.members.add(far, "x@city.test", role=Role.ADMIN)
    with pytest.raises(NotFound):
        world.tenancy.scope(bound, Right.MEMBERS_WRITE, organisation="city")


@drawn(
    maker_role=st.sampled_from(list(Role)),
    maker_bound=st.booleans(),
    person_makes=st.booleans(),
    role=st.sampled_from(list(Role)),
    where=st.sampled_from([None, "main", "lab"]),
    data=st.data(),
    short=20,
    long=600,
)
def test_nobody_invites_to_more_than_they_are(
    shared_world, maker_role, maker_bound, person_makes, role, where, data
):
    world, tenancy, name = shared_world, shared_world.tenancy, next(_names)
    whole = world.organisation(name)
    tenancy.projects.create(whole, "lab")
    project = "main" if maker_bound else None
    if person_makes:
        node = tenancy.scope(
            world.operator, Right.MEMBERS_WRITE, organisation=name, project=project
        )
        who = person(name)
        tenancy.members.add(node, who.email, role=maker_role)
        (maker,) = tenancy.sessions.find(login(world, who).text).memberships
    else:
        maker = world.member(name, maker_role, project=project)
    right = data.draw(st.sampled_from(sorted(RIGHTS[maker_role])))
    try:
        scope = tenancy.scope(maker, right, project=where)
        made = tenancy.members.add(scope, "friend@acme.test", role=role)
    except (Forbidden, NotFound):
        assert not (maker_role is Role.ADMIN and not maker_bound)
        return
    assert RIGHTS[made.role] <= RIGHTS[maker.role]
    assert maker.may(Right.MEMBERS_WRITE)
    assert maker.project is None or made.project == maker.project


test_that_for_long = test_nobody_invites_to_more_than_they_are.for_long


def test_a_lesser_role_that_may_invite_touches_no_greater_member(world, acme, monkeypatch):
    monkeypatch.setitem(RIGHTS, Role.ENGINEER, RIGHTS[Role.ENGINEER] | {Right.MEMBERS_WRITE})
    admin = world.tenancy.members.add(acme, "ann@acme.test", role=Role.ADMIN)
    friend = world.tenancy.members.add(acme, "bob@acme.test", role=Role.CONSUMER)
    engineer = world.scope_of("acme", Role.ENGINEER, Right.MEMBERS_WRITE)
    for member, role in ((admin.id, Role.CONSUMER), (friend.id, Role.ADMIN)):
        with pytest.raises(Forbidden, match="cannot make"):
            world.tenancy.members.set_role(engineer, member, role)
    world.tenancy.members.set_role(engineer, friend.id, Role.ENGINEER)


def test_a_session_ends_by_itself_by_logout_and_never_by_guessing(world, acme):
    who = person("ann")
    first, second = login(world, who), login(world, who)
    assert world.tenancy.sessions.find(first.text).person == who
    world.tenancy.sessions.close(first.id)
    other = second.text[:-1] + ("a" if second.text[-1] != "a" else "b")
    for text in (first.text, other, "", "pls_", first.text + "x", second.text.upper()):
        with pytest.raises(Unauthenticated):
            world.tenancy.sessions.find(text)
    world.clock.advance(3599)
    assert world.tenancy.sessions.find(second.text)
    world.clock.advance(1)
    with pytest.raises(Unauthenticated):
        world.tenancy.sessions.find(second.text)


def test_ended_sessions_are_forgotten_after_a_day(world, acme):
    old = login(world, person("ann"))
    world.clock.advance(3600 + 86_401)
    new = login(world, person("ann"))
    with world.tenancy._store.read_everything() as session:
        from plaza_tenancy.schema import SessionRow

        assert session.get(SessionRow, old.id) is None
        row = session.get(SessionRow, new.id)
    assert new.text.split("_")[2] not in repr(vars(row))


def test_the_token_of_one_session_is_not_anothers(world, acme):
    who = person("ann")
    found = [world.tenancy.sessions.find(login(world, who).text).csrf for _ in range(2)]
    assert found[0] != found[1]
