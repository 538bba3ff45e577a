"""A key is followed by another while both work, and ends when it was told to."""

from __future__ import annotations

import pytest

from plaza_core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from plaza_core.ids import KeyId
from plaza_core.principal import RIGHTS, Right, Role
from plaza_core.table import RateLimit
from plaza_tenancy.nodes import Kind, Node

HOUR_US = 3_600_000_000


@pytest.fixture
def old(world, acme):
    rate = RateLimit(per_second=5, burst=10)
    scope = world.tenancy.scope(
        world.operator, Right.KEYS_WRITE, organisation="acme", project="main"
    )
    return world.tenancy.keys.create(scope, role=Role.ENGINEER, label="gateway 7", rate=rate)


def test_the_new_key_is_the_old_one_with_another_secret(world, acme, old):
    new = world.tenancy.keys.rotate(acme, old.id, overlap_us=HOUR_US)
    before, after = (world.tenancy.keys.get(acme, key.id) for key in (old, new))
    for field in ("organisation", "project", "role", "label", "rate"):
        assert getattr(after, field) == getattr(before, field), field
    assert (after.replaces, before.replaced_by) == (old.id, new.id)
    assert (before.replaces, after.replaced_by) == (None, None)
    assert new.text != old.text
    assert world.tenancy.authenticate(new.text).role is Role.ENGINEER


def test_both_work_until_the_overlap_ends(world, acme, old):
    new = world.tenancy.keys.rotate(acme, old.id, overlap_us=HOUR_US)
    world.clock.advance(3599)
    for key in (old, new):
        assert world.tenancy.authenticate(key.text).key == key.id
    assert {k.id for k in world.tenancy.table().keys} >= {old.id, new.id}
    world.clock.advance(1)
    with pytest.raises(Unauthenticated, match="expired"):
        world.tenancy.authenticate(old.text)
    assert world.tenancy.authenticate(new.text).key == new.id
    assert old.id not in {k.id for k in world.tenancy.table().keys}


def test_without_overlap_the_old_key_ends_at_once(world, acme, old):
    world.tenancy.keys.rotate(acme, old.id, overlap_us=0)
    with pytest.raises(Unauthenticated):
        world.tenancy.authenticate(old.text)


def test_an_overlap_never_prolongs_and_the_new_key_lives_as_long_as_the_old_was_made_for(
    world, acme
):
    ends = world.clock.unix_us() + 10 * HOUR_US
    old = world.tenancy.keys.create(acme, role=Role.CONSUMER, expires_unix_us=ends)
    world.clock.advance(9 * 3600)
    new = world.tenancy.keys.rotate(acme, old.id, overlap_us=24 * HOUR_US)
    assert world.tenancy.keys.get(acme, old.id).expires_unix_us == ends
    lives = world.clock.unix_us() + 10 * HOUR_US
    assert world.tenancy.keys.get(acme, new.id).expires_unix_us == lives


def test_a_key_is_replaced_once_and_its_successor_goes_on(world, acme, old):
    new = world.tenancy.keys.rotate(acme, old.id, overlap_us=HOUR_US)
    with pytest.raises(Conflict, match="rotate the one that replaces it"):
        world.tenancy.keys.rotate(acme, old.id, overlap_us=HOUR_US)
    newest = world.tenancy.keys.rotate(acme, new.id, overlap_us=HOUR_US)
    chain = [(k.id, k.replaces, k.replaced_by) for k in world.tenancy.keys.list(acme)]
    assert set(chain) == {
        (old.id, None, new.id),
        (new.id, old.id, newest.id),
        (newest.id, new.id, None),
    }


def test_what_has_ended_is_not_rotated_and_never_let_in_again(world, acme, old):
    new = world.tenancy.keys.rotate(acme, old.id, overlap_us=0)
    world.tenancy.keys.revoke(acme, new.id)
    for ended in (old.id, new.id):
        with pytest.raises(Conflict, match="ended"):
            world.tenancy.keys.rotate(acme, ended, overlap_us=HOUR_US)
        with pytest.raises(Conflict, match="ended"):
            world.tenancy.keys.set_expiry(acme, ended, None)


def test_an_expiry_is_moved_and_taken_away(world, acme, old):
    later = world.clock.unix_us() + HOUR_US
    assert world.tenancy.keys.set_expiry(acme, old.id, later).expires_unix_us == later
    assert world.tenancy.keys.set_expiry(acme, old.id, None).expires_unix_us is None
    with pytest.raises(InvalidInput):
        world.tenancy.keys.set_expiry(acme, old.id, world.clock.unix_us())
    world.tenancy.keys.set_expiry(acme, old.id, later)
    world.clock.advance(3600)
    with pytest.raises(Unauthenticated):
        world.tenancy.authenticate(old.text)


def test_nobody_rotates_a_key_to_more_rights_than_their_own(world, acme, monkeypatch):
    """Whoever rotates reads the new secret, so the rule of making a key holds."""
    monkeypatch.setitem(RIGHTS, Role.ENGINEER, RIGHTS[Role.ENGINEER] | {Right.KEYS_WRITE})
    admin = KeyId(world.key("acme", Role.ADMIN).split("_")[1])
    consumer = KeyId(world.key("acme", Role.CONSUMER).split("_")[1])
    engineer = world.scope_of("acme", Role.ENGINEER, Right.KEYS_WRITE)
    with pytest.raises(Forbidden):
        world.tenancy.keys.rotate(engineer, admin, overlap_us=0)
    world.tenancy.keys.rotate(engineer, consumer, overlap_us=0)


def test_a_project_admin_rotates_keys_of_its_project_and_no_other(world, acme, old):
    whole = KeyId(world.key("acme", Role.CONSUMER).split("_")[1])
    bound = world.scope_of("acme", Role.ADMIN, Right.KEYS_WRITE, project="main")
    world.tenancy.keys.rotate(bound, old.id, overlap_us=0)
    with pytest.raises(NotFound):
        world.tenancy.keys.rotate(bound, whole, overlap_us=0)


def test_an_admin_key_rotates_itself(world, acme):
    text = world.key("acme", Role.ADMIN)
    scope = world.tenancy.scope(world.tenancy.authenticate(text), Right.KEYS_WRITE)
    new = world.tenancy.keys.rotate(scope, KeyId(scope.actor), overlap_us=HOUR_US)
    assert world.tenancy.authenticate(new.text).role is Role.ADMIN
    assert world.tenancy.authenticate(text).role is Role.ADMIN


def test_no_text_that_stays_holds_a_key(world, acme, old):
    """A key pasted into a label would sit in the database and in every backup of it."""
    for label in (old.text, f"see {old.text}!", old.text[:40]):
        with pytest.raises(InvalidInput):
            world.tenancy.keys.create(acme, role=Role.CONSUMER, label=label)
        with pytest.raises(InvalidInput):
            world.tenancy.organisations.create(world.platform(), "fresh", title=label)
    world.tenancy.keys.create(acme, role=Role.CONSUMER, label="plz_ is how keys begin")


def test_a_key_shares_its_budget_rate_and_slots_with_the_one_before_it(world, acme, old):
    t, by_old = world.tenancy, Node(Kind.KEY, old.id)
    t.budgets.set(acme, by_old, limit=100)
    t.concurrency.set(acme, by_old, 3)
    t.concurrency.set_priority(acme, old.id, 2)
    new = t.keys.rotate(acme, old.id, overlap_us=HOUR_US)
    by_new = Node(Kind.KEY, new.id)
    assert t.budgets.show(acme, by_new) == t.budgets.show(acme, by_old)
    before, after = (next(k for k in t.table().keys if k.id == key.id) for key in (old, new))
    assert (after.line, before.line) == (old.id, None)
    assert (before.metered, after.metered) == (True, True)
    for entry in (before, after):
        assert (entry.slots, entry.priority) == ([(old.id, 3)], 2)
        assert entry.limits[0] == (old.id, RateLimit(per_second=5, burst=10))

    t.budgets.adjust(acme, by_new, by=5)
    t.concurrency.set(acme, by_new, 7)
    t.concurrency.set_priority(acme, old.id, 4)
    t.keys.set_rate(acme, new.id, RateLimit(per_second=9, burst=9))
    assert t.budgets.show(acme, by_old).limit == 105
    for entry in (k for k in t.table().keys if k.id in {old.id, new.id}):
        assert (entry.slots, entry.priority) == ([(old.id, 7)], 4)
        assert entry.limits[0] == (old.id, RateLimit(per_second=9, burst=9))
    t.budgets.remove(acme, by_new)
    assert not any(k.metered for k in t.table().keys)


def test_no_key_of_a_line_changes_the_limits_of_the_line(world, acme):
    text = world.key("acme", Role.ADMIN, project="main")
    scope = world.tenancy.scope(world.tenancy.authenticate(text), Right.KEYS_WRITE)
    new = world.tenancy.keys.rotate(scope, KeyId(scope.actor), overlap_us=HOUR_US)
    with pytest.raises(Forbidden, match="its own limits"):
        world.tenancy.budgets.set(scope, Node(Kind.KEY, new.id), limit=10**9)


def test_lines_of_two_organisations_have_nothing_in_common(world, acme, old):
    world.tenancy.keys.rotate(acme, old.id, overlap_us=HOUR_US)
    lab = world.organisation("lab")
    theirs = world.tenancy.scope(world.operator, Right.KEYS_WRITE, organisation="lab")
    key = world.tenancy.keys.create(theirs, role=Role.CONSUMER)
    with pytest.raises(NotFound):
        world.tenancy.budgets.set(lab, Node(Kind.KEY, old.id), limit=5)
    world.tenancy.budgets.set(lab, Node(Kind.KEY, key.id), limit=5)
    assert len(world.tenancy.budgets.list(world.platform())) == 1
