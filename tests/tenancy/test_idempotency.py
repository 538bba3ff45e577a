"""Claims of idempotency keys: one holder at a time, one answer for a day, one request id."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from plaza_core.errors import Conflict, QuotaExceeded
from plaza_core.idempotency import CLAIM_S, KEPT_S, ClaimAsk, Done, Place, State
from plaza_core.principal import Role
from plaza_tenancy import idempotency as rules
from tests.tenancy.world import World


def ask_of(world: World, token="t1", *, name="order-1", fingerprint="f" * 64, who=None) -> ClaimAsk:
    who = who or world.operator
    return ClaimAsk(
        organisation=who.organisation,
        key=who.key,
        name=name,
        token=token,
        fingerprint=fingerprint,
        request_id=f"request-of-{token}",
    )


def done(ask: ClaimAsk, answer=b"sealed", status=200) -> Done:
    return Done(**place(ask).model_dump(), status=status, answer=answer)


def place(ask: ClaimAsk) -> Place:
    return Place(**ask.model_dump(include=set(Place.model_fields)))


@pytest.fixture
def claims(world):
    return world.tenancy.idempotency


def test_the_first_gets_the_claim_and_the_second_hears_that_it_runs(world, claims):
    first = claims.claim(ask_of(world))
    assert (first.state, first.request_id) == (State.YOURS, "request-of-t1")
    second = claims.claim(ask_of(world, "t2"))
    assert second.state is State.RUNNING
    assert 0 < second.retry_after_s <= 1


def test_an_answer_is_kept_for_a_day_and_survives_a_restart(world, claims):
    claims.claim(ask := ask_of(world))
    claims.complete(done(ask))
    world.clock.advance(KEPT_S - 1)
    found = world.reopened().idempotency.claim(ask_of(world, "t2"))
    assert (found.state, found.status, found.answer) == (State.KEPT, 200, b"sealed")
    assert (found.token, found.request_id) == ("t1", "request-of-t1")
    world.clock.advance(2)
    again = world.tenancy.idempotency.claim(ask_of(world, "t3", fingerprint="e" * 64))
    assert (again.state, again.request_id) == (State.YOURS, "request-of-t3")


def test_another_request_under_the_name_is_told_so_while_it_runs_and_after(world, claims):
    claims.claim(ask := ask_of(world))
    other = ask_of(world, "t2", fingerprint="0" * 64)
    assert claims.claim(other).state is State.OTHER
    claims.complete(done(ask))
    assert claims.claim(other).state is State.OTHER


def test_a_claim_whose_holder_died_lapses_and_keeps_its_request_id(world, claims):
    claims.claim(dead := ask_of(world))
    world.clock.advance(CLAIM_S)
    taken = claims.claim(ask_of(world, "t2"))
    assert (taken.state, taken.request_id) == (State.YOURS, "request-of-t1")
    claims.complete(done(dead, b"too late"))
    assert claims.claim(ask_of(world, "t3")).state is State.RUNNING, "the dead one has no say"
    claims.complete(done(ask_of(world, "t2"), b"sealed"))
    assert claims.claim(ask_of(world, "t3")).answer == b"sealed"


def test_who_works_long_renews(world, claims):
    claims.claim(ask := ask_of(world))
    for _ in range(5):
        world.clock.advance(CLAIM_S - 1)
        claims.renew(place(ask))
    assert claims.claim(ask_of(world, "t2")).state is State.RUNNING


def test_a_released_name_is_free_for_anything(world, claims):
    claims.claim(ask := ask_of(world))
    claims.release(place(ask))
    claims.release(place(ask))
    new = claims.claim(ask_of(world, "t2", fingerprint="0" * 64))
    assert (new.state, new.request_id) == (State.YOURS, "request-of-t2")


def test_a_lost_answer_to_a_claim_may_be_asked_for_again(world, claims):
    claims.claim(ask_of(world))
    assert claims.claim(ask_of(world)).state is State.YOURS


def test_an_answer_that_was_too_large_is_known_but_gone(world, claims):
    claims.claim(ask := ask_of(world))
    claims.complete(done(ask, None))
    found = claims.claim(ask_of(world, "t2"))
    assert (found.state, found.status, found.answer) == (State.KEPT, 200, None)


def test_each_key_has_names_of_its_own(world, claims, acme):
    one, two = (world.member("acme", Role.ADMIN) for _ in range(2))
    assert claims.claim(ask_of(world, who=one)).state is State.YOURS
    assert claims.claim(ask_of(world, "t2", who=two)).state is State.YOURS


def test_a_key_of_another_organisation_cannot_be_written_under(world, claims, acme):
    mixed = ask_of(world).model_copy(update={"organisation": acme.organisation})
    with pytest.raises(Conflict):
        claims.claim(mixed)


def test_of_many_at_once_exactly_one_gets_the_claim(world, claims):
    asks = [ask_of(world, f"t{n}") for n in range(24)]
    with ThreadPoolExecutor(8) as threads:
        states = [verdict.state for verdict in threads.map(claims.claim, asks)]
    assert sorted(states) == sorted([State.YOURS] + [State.RUNNING] * 23)


def test_of_many_who_find_a_lapsed_claim_exactly_one_takes_it(world, claims):
    claims.claim(ask_of(world))
    world.clock.advance(CLAIM_S)
    asks = [ask_of(world, f"u{n}") for n in range(16)]
    with ThreadPoolExecutor(8) as threads:
        states = [verdict.state for verdict in threads.map(claims.claim, asks)]
    assert states.count(State.YOURS) == 1


def test_what_is_over_is_swept_and_what_runs_is_not(world, claims):
    claims.claim(old := ask_of(world, name="old"))
    claims.complete(done(old))
    claims.claim(long := ask_of(world, name="long"))
    world.clock.advance(KEPT_S)
    claims.renew(place(long))
    assert claims.expire() == 1
    assert claims.claim(ask_of(world, "t2", name="long")).state is State.RUNNING


def test_an_organisation_cannot_fill_the_disk(world, claims, acme, monkeypatch):
    monkeypatch.setattr(rules, "MOST_NAMES", 3)
    monkeypatch.setattr(rules, "MOST_STORED", 10)
    for n in range(3):
        claims.claim(ask_of(world, name=f"n{n}"))
    with pytest.raises(QuotaExceeded):
        claims.claim(ask_of(world, name="one-more"))
    greedy = world.member("acme", Role.ADMIN)
    claims.claim(big := ask_of(world, who=greedy))
    claims.complete(done(big, b"more than ten bytes"))
    with pytest.raises(QuotaExceeded):
        claims.claim(ask_of(world, name="one-more", who=greedy))
    assert claims.claim(ask_of(world, "t9", who=greedy)).state is State.KEPT, "replays go on"
    world.clock.advance(KEPT_S)
    claims.expire()
    assert claims.claim(ask_of(world, name="one-more", who=greedy)).state is State.YOURS
