"""Targets of alerts, the operators' list, and the outbox: in order, patient, and finite."""

import base64
from pathlib import Path

import pytest
import sqlalchemy

from plaza_core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    QuotaExceeded,
    TargetRefused,
    Unavailable,
)
from plaza_core.principal import Role
from plaza_core.webhooks import Attempt, Event, HostPattern
from plaza_tenancy import Tenancy
from plaza_tenancy.deliveries import GIVE_UP_US, RESERVED_US, backoff_us
from plaza_tenancy.webhooks import MOST, OVERLAP_US
from tests.tenancy.world import PEPPER, RATE

URL = "https://hooks.example.org/in?token=t0p"
HOSTS = [HostPattern("hooks.example.org")]
FAILED, DONE = Attempt(delivered=False, error="status 500"), Attempt(delivered=True)


@pytest.fixture
def hook(world, acme):
    return world.tenancy.webhooks.add(acme, URL, HOSTS, label="ops")


def actions(world, acme):
    return [entry.action for entry in world.tenancy.audit.list(acme)]


# ── targets ──────────────────────────────────────────────────────────────────────────────────────
def test_a_secret_is_shown_once_and_stored_sealed(world, acme, hook):
    assert hook.secret.startswith("whsec_")
    assert len(base64.b64decode(hook.secret[6:])) == 32
    (listed,) = world.tenancy.webhooks.list(acme)
    assert "whsec" not in repr(listed)
    assert hook.secret not in repr(hook)
    if world.url.startswith("sqlite"):
        path = Path(sqlalchemy.make_url(world.url).database)
        stored = b"".join(p.read_bytes() for p in path.parent.glob(f"{path.name}*"))
        assert b"hooks.example.org" in stored
        assert base64.b64decode(hook.secret[6:]) not in stored
        assert hook.secret[6:].encode() not in stored


def test_neither_lists_nor_the_trail_tell_what_a_url_may_hide(world, acme, hook):
    assert hook.webhook.url == "https://hooks.example.org/in?…"
    assert "t0p" not in repr(world.tenancy.webhooks.list(acme))
    assert "t0p" not in repr(world.tenancy.audit.list(acme))


def test_what_no_operator_allows_is_no_target(world, acme):
    for hosts in ([], [HostPattern("other.example.org")]):
        with pytest.raises(TargetRefused):
            world.tenancy.webhooks.add(acme, URL, hosts)
    with pytest.raises(InvalidInput):
        world.tenancy.webhooks.add(acme, "not a url", HOSTS)
    with pytest.raises(InvalidInput):
        world.tenancy.webhooks.add(acme, URL, HOSTS, events=[])
    with pytest.raises(InvalidInput, match="on demand"):
        world.tenancy.webhooks.add(acme, URL, HOSTS, events=[Event.BUDGET_50, Event.TEST])


def test_an_organisation_has_a_bounded_number_of_targets(world, acme):
    for _ in range(MOST):
        world.tenancy.webhooks.add(acme, URL, HOSTS)
    with pytest.raises(QuotaExceeded):
        world.tenancy.webhooks.add(acme, URL, HOSTS)


def test_a_hub_without_a_vault_makes_no_targets(new_url, world):
    bare = Tenancy(
        new_url(), pepper=PEPPER, clock=world.clock, random=world.tenancy._store.random,
        default_rate=RATE,
    )  # fmt: skip
    operator = bare.authenticate(bare.bootstrap().text)
    from plaza_core.principal import Right

    with pytest.raises(Unavailable):
        bare.webhooks.add(bare.scope(operator, Right.TENANTS_WRITE), URL, HOSTS)
    bare.close()


def test_a_rotation_keeps_the_old_secret_for_a_day(world, acme, hook):
    new = world.tenancy.webhooks.rotate(acme, hook.webhook.id)
    assert new.secret != hook.secret
    world.tenancy.webhooks.test(acme, hook.webhook.id)
    (message,) = world.tenancy.deliveries.take(9)
    assert message.secrets == (new.secret, hook.secret)
    world.clock.advance(OVERLAP_US / 1e6)
    (message,) = world.tenancy.deliveries.take(9)
    assert message.secrets == (new.secret,)


def test_a_removed_target_takes_its_messages_along(world, acme, hook):
    world.tenancy.webhooks.test(acme, hook.webhook.id)
    world.tenancy.webhooks.remove(acme, hook.webhook.id)
    assert world.tenancy.deliveries.take(9) == []
    assert world.tenancy.webhooks.list(acme) == []
    with pytest.raises(NotFound):
        world.tenancy.webhooks.rotate(acme, hook.webhook.id)


def test_a_key_of_one_project_has_no_say(world, acme, hook):
    from plaza_core.principal import Right

    scope = world.scope_of("acme", Role.ADMIN, Right.TENANTS_WRITE, project="main")
    assert world.tenancy.webhooks.list(scope) == []
    for verb in ("remove", "rotate", "enable", "test"):
        with pytest.raises(Forbidden):
            getattr(world.tenancy.webhooks, verb)(scope, hook.webhook.id)


# ── the operators' list ──────────────────────────────────────────────────────────────────────────
def test_the_list_is_empty_until_an_operator_says_otherwise(world, acme):
    assert world.tenancy.hosts.patterns() == []
    world.tenancy.hosts.allow(world.platform(), "Hooks.Example.org")
    world.tenancy.hosts.allow(world.platform(), "127.0.0.1:9", private=True)
    assert world.tenancy.hosts.patterns() == [
        HostPattern("127.0.0.1:9", private=True),
        HostPattern("hooks.example.org"),
    ]
    world.tenancy.hosts.disallow(world.platform(), "HOOKS.example.org")
    assert [p.text for p in world.tenancy.hosts.patterns()] == ["127.0.0.1:9"]
    with pytest.raises(NotFound):
        world.tenancy.hosts.disallow(world.platform(), "hooks.example.org")


def test_allowing_twice_changes_nothing_and_private_can_be_changed(world):
    def trail():
        return len(world.tenancy.audit.list(world.platform()))

    world.tenancy.hosts.allow(world.platform(), "hooks.example.org")
    before = trail()
    world.tenancy.hosts.allow(world.platform(), "hooks.example.org")
    assert trail() == before
    world.tenancy.hosts.allow(world.platform(), "hooks.example.org", private=True)
    assert trail() == before + 1
    assert world.tenancy.hosts.patterns() == [HostPattern("hooks.example.org", private=True)]


def test_no_organisation_keeps_the_list(world, acme):
    for ask in (
        lambda: world.tenancy.hosts.allow(acme, "hooks.example.org"),
        lambda: world.tenancy.hosts.disallow(acme, "hooks.example.org"),
        lambda: world.tenancy.hosts.list(acme),
    ):
        with pytest.raises(Forbidden):
            ask()


# ── the outbox ───────────────────────────────────────────────────────────────────────────────────
def test_messages_of_a_target_go_in_order_one_at_a_time(world, acme, hook):
    ids = [world.tenancy.webhooks.test(acme, hook.webhook.id).id for _ in range(3)]
    other = world.tenancy.webhooks.add(acme, URL, HOSTS).webhook.id
    beside = world.tenancy.webhooks.test(acme, other).id
    first = world.tenancy.deliveries.take(9)
    assert {message.id for message in first} == {ids[0], beside}
    assert world.tenancy.deliveries.take(9) == [], "both are on their way"
    for message in first:
        world.tenancy.deliveries.note(message, DONE)
    for expected in ids[1:]:
        (message,) = world.tenancy.deliveries.take(9)
        assert message.id == expected
        world.tenancy.deliveries.note(message, DONE)
    shown = world.tenancy.webhooks.deliveries(acme, hook.webhook.id)
    assert [(d.id, d.state, d.attempts) for d in shown] == [
        (i, "delivered", 1) for i in reversed(ids)
    ]


def test_a_failure_holds_back_what_is_behind_it_and_no_other_target(world, acme, hook):
    ids = [world.tenancy.webhooks.test(acme, hook.webhook.id).id for _ in range(2)]
    (message,) = world.tenancy.deliveries.take(9)
    world.tenancy.deliveries.note(message, FAILED)
    assert world.tenancy.deliveries.take(9) == []
    world.clock.advance(5)
    (again,) = world.tenancy.deliveries.take(9)
    assert (again.id, again.attempts) == (ids[0], 1)
    (shown, *_) = reversed(world.tenancy.webhooks.deliveries(acme, hook.webhook.id))
    assert (shown.state, shown.last_error) == ("pending", "status 500")
    assert world.tenancy.webhooks.list(acme)[0].failures == 1
    world.tenancy.deliveries.note(again, DONE)
    assert world.tenancy.webhooks.list(acme)[0].failures == 0
    assert world.tenancy.deliveries.take(9)[0].id == ids[1]


def test_what_a_dead_process_had_taken_is_taken_again(world, acme, hook):
    sent = world.tenancy.webhooks.test(acme, hook.webhook.id).id
    world.tenancy.deliveries.take(9)
    world.clock.advance(RESERVED_US / 1e6 - 1)
    assert world.tenancy.deliveries.take(9) == []
    world.clock.advance(1)
    assert [message.id for message in world.tenancy.deliveries.take(9)] == [sent]


def test_pauses_double_to_an_hour_and_are_spread(world):
    longest = [backoff_us(n, lambda k: b"\x00" * k) / 1e6 for n in range(1, 13)]
    assert longest == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    shortest = [backoff_us(n, lambda k: b"\xff" * k) / 1e6 for n in range(1, 13)]
    assert all(s == pytest.approx(full / 2) for s, full in zip(shortest, longest, strict=True))
    assert backoff_us(10_000, lambda k: b"\x00" * k) == 3600 * 10**6


PACE_S = 110


def test_after_a_day_a_target_is_given_up_with_an_audit_row(world, acme, hook):
    for _ in range(2):
        world.tenancy.webhooks.test(acme, hook.webhook.id)
    started, attempts = world.clock.unix_us(), 0
    while world.tenancy.webhooks.list(acme)[0].active:
        for message in world.tenancy.deliveries.take(9):
            attempts += 1
            world.tenancy.deliveries.note(message, FAILED)
        world.clock.advance(PACE_S)
    lasted = world.clock.unix_us() - started
    assert GIVE_UP_US <= lasted < GIVE_UP_US + 2_000_000 * PACE_S
    assert 24 <= attempts <= 60
    (entry, *_) = world.tenancy.audit.list(acme)
    assert (entry.action, entry.actor, entry.target) == (
        "webhook.disable",
        "system",
        hook.webhook.id,
    )
    assert entry.after["because"] == "a day of attempts failed"
    shown = world.tenancy.webhooks.deliveries(acme, hook.webhook.id)
    assert {d.state for d in shown} == {"given_up"}
    (listed,) = world.tenancy.webhooks.list(acme)
    assert (listed.active, listed.disabled_because) == (False, "a day of attempts failed")


def test_a_target_that_says_it_is_gone_is_believed(world, acme, hook):
    world.tenancy.webhooks.test(acme, hook.webhook.id)
    (message,) = world.tenancy.deliveries.take(9)
    gone = Attempt(delivered=False, error="status 410", gone=True)
    world.tenancy.deliveries.note(message, gone)
    assert actions(world, acme)[0] == "webhook.disable"
    with pytest.raises(Conflict):
        world.tenancy.webhooks.test(acme, hook.webhook.id)
    enabled = world.tenancy.webhooks.enable(acme, hook.webhook.id)
    assert (enabled.active, enabled.failures, enabled.disabled_because) == (True, 0, None)
    assert world.tenancy.deliveries.take(9) == [], "what was given up stays so"
    world.tenancy.webhooks.test(acme, hook.webhook.id)
    assert len(world.tenancy.deliveries.take(9)) == 1


def test_a_secret_that_does_not_open_keeps_nobody_else_waiting(world, acme, hook):
    other = world.tenancy.webhooks.add(acme, URL, HOSTS)
    for one in (hook, other):
        world.tenancy.webhooks.test(acme, one.webhook.id)
    with world.tenancy._store.append_everything() as session:
        session.execute(
            sqlalchemy.text("UPDATE webhooks SET secret = :x WHERE id = :id"),
            {"x": b"damaged" * 9, "id": hook.webhook.id},
        )
    assert [m.webhook for m in world.tenancy.deliveries.take(9)] == [other.webhook.id]


def test_old_messages_are_forgotten_and_waiting_ones_never(world, acme, hook):
    for _ in range(2):
        world.tenancy.webhooks.test(acme, hook.webhook.id)
    (message,) = world.tenancy.deliveries.take(9)
    world.tenancy.deliveries.note(message, DONE)
    world.clock.advance(91 * 86_400)
    assert world.tenancy.deliveries.expire() == 1
    assert [d.state for d in world.tenancy.webhooks.deliveries(acme, hook.webhook.id)] == [
        "pending"
    ]
