"""Stories of leases, told of both banks: what is granted, what comes back, what is never lost."""

from __future__ import annotations

import pytest

from plaza_core.budget import FOREVER, LeaseAsk, Period
from plaza_core.errors import NotFound
from tests.tenancy.banks import InMemory, OnSql, ask, charge, node_of, on_postgres

DAY_S = 86_400


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def bank(request):
    match request.param:
        case "memory":
            opened = InMemory()
        case "sqlite":
            opened = OnSql()
        case _:
            opened = on_postgres(request.getfixturevalue("postgres"))
    yield opened
    assert opened.drift() == []
    opened.stop()


@pytest.fixture
def key(bank):
    """A key of the project `main` of `acme`."""
    return bank.new_key("acme", "main")


def limits(bank, key, *, organisation=None, project=None, leaf=None, period=Period.TOTAL):
    for depth, limit in enumerate((organisation, project, leaf)):
        if limit is not None:
            bank.set_budget(key, depth, limit, period)


def accounts(bank):
    """Node -> (settled, leased), of the newest budget and period."""
    found = sorted(bank.accounts().values(), key=lambda a: (a.id.generation, a.id.start))
    return {account.id.node: (account.settled, account.leased) for account in found}


def test_a_key_that_nothing_limits_needs_no_lease(bank, key):
    grant = ask(bank, "r1", key, need=5, wish=50)
    assert (grant.lease, grant.short_of) == (None, None)
    assert bank.accounts() == {}


def test_a_key_nobody_knows_gets_nothing(bank):
    stranger = bank.new_key("acme", None).model_copy(update={"key": "nobody"})
    assert ask(bank, "r1", stranger, need=1).short_of == "nobody"


def test_a_wish_is_granted_while_there_is_plenty_and_the_need_when_there_is_not(bank, key):
    limits(bank, key, leaf=1000)
    first = ask(bank, "r1", key, need=10, wish=500, live=2)
    assert first.granted == 125  # 1000 / (4 × 2 replicas)
    more = ask(bank, "r1", key, lease=first.lease, granted=125, need=800, wish=10_000)
    assert more.granted == 925
    assert ask(bank, "r1", key, lease=first.lease, granted=925, need=75).granted == 1000
    assert accounts(bank) == {key.key: (0, 1000)}


def test_every_account_from_the_root_to_the_leaf_pays(bank, key):
    limits(bank, key, organisation=100, project=50, leaf=20)
    assert ask(bank, "r1", key, need=20).granted == 20
    assert set(accounts(bank).values()) == {(0, 20)}
    assert len(accounts(bank)) == 3


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_refusal_names_the_first_account_from_the_root_that_is_short(bank, key, depth):
    for other in (0, 1, 2):
        bank.set_budget(key, other, 9 if other == depth else 1000, Period.TOTAL)
    grant = ask(bank, "r1", key, need=10)
    assert (grant.lease, grant.granted) == (None, 0)
    assert (grant.short_of, grant.resets_unix_us) == (node_of(key, depth), None)
    assert bank.leases() == {}
    assert all(leased == 0 for _, leased in accounts(bank).values())


def test_two_replicas_share_one_budget_to_the_last_unit(bank, key):
    limits(bank, key, organisation=10)
    assert ask(bank, "r1", key, need=6).granted == 6
    assert ask(bank, "r2", key, need=5).short_of == key.organisation
    assert ask(bank, "r2", key, need=4).granted == 4
    assert ask(bank, "r3", key, need=1).short_of == key.organisation


def test_many_leaves_in_one_call_are_granted_one_after_another(bank):
    keys = [bank.new_key("acme", "main") for _ in range(5)]
    limits(bank, keys[0], organisation=10)
    asks = [LeaseAsk(key=key.key, need=3) for key in keys]
    grants = bank.exchange("r1", asks)
    assert [grant.key for grant in grants] == [key.key for key in keys]
    assert [grant.granted for grant in grants] == [3, 3, 3, 0, 0]
    assert bank.exchange("r1", []) == []


def test_what_one_ask_returns_another_of_the_same_call_can_have(bank):
    one, two = bank.new_key("acme", "main"), bank.new_key("acme", "main")
    limits(bank, one, organisation=10)
    lease = ask(bank, "r1", one, need=10).lease
    grants = bank.exchange(
        "r1",
        [
            LeaseAsk(key=two.key, need=10),
            LeaseAsk(key=one.key, lease=lease, granted=10, returned=10),
        ],
    )
    assert [grant.granted for grant in grants] == [10, 10]


def test_an_answer_that_was_lost_is_told_again(bank, key):
    limits(bank, key, leaf=100)
    lost = ask(bank, "r1", key, need=10)
    again = ask(bank, "r1", key, need=10)
    assert again == lost
    ask(bank, "r1", key, lease=lost.lease, granted=10, need=5)
    once_more = ask(bank, "r1", key, lease=lost.lease, granted=10, need=5)
    assert once_more.granted == 15
    assert accounts(bank) == {key.key: (0, 15)}


def test_telling_twice_what_came_back_counts_once(bank, key):
    limits(bank, key, leaf=100)
    lease = ask(bank, "r1", key, need=50).lease
    for _ in range(3):
        ask(bank, "r1", key, lease=lease, granted=50, returned=30)
    ask(bank, "r1", key, lease=lease, granted=50, returned=10)  # a message from before, late
    assert accounts(bank) == {key.key: (0, 20)}


def test_nobody_gives_back_more_than_they_have(bank, key):
    limits(bank, key, leaf=100)
    lease = ask(bank, "r1", key, need=50).lease
    bank.ingest([charge(bank, key, "1", 20, lease=lease)])
    ask(bank, "r1", key, lease=lease, granted=50, returned=1000)
    assert accounts(bank) == {key.key: (20, 0)}


def test_somebody_elses_lease_is_not_mine_to_return_or_to_spend(bank, key):
    other = bank.new_key("acme", "main")
    limits(bank, key, leaf=100)
    limits(bank, other, leaf=100)
    lease = ask(bank, "r1", key, need=50).lease
    over = ask(bank, "r2", key, lease=lease, granted=50, returned=50, need=1)
    assert over.until_unix_us <= bank.clock.unix_us()
    ask(bank, "r1", other, lease=lease, granted=50, returned=50)
    bank.ingest([charge(bank, other, "1", 7, lease=lease)])
    assert accounts(bank) == {key.key: (0, 50), other.key: (7, 0)}


def test_usage_moves_from_leased_to_settled_once(bank, key):
    limits(bank, key, organisation=100, leaf=100)
    lease = ask(bank, "r1", key, need=50).lease
    shipment = [charge(bank, key, str(n), 10, lease=lease) for n in range(3)]
    for _ in range(3):
        bank.ingest(shipment)
    assert set(accounts(bank).values()) == {(30, 20)}
    assert bank.leases()[lease].spent == 30


def test_usage_without_a_lease_counts_where_a_budget_is(bank, key):
    limits(bank, key, organisation=100)
    bank.ingest([charge(bank, key, "1", 30)])
    assert accounts(bank) == {key.organisation: (30, 0)}
    assert ask(bank, "r1", key, need=71).short_of == key.organisation


def test_a_dead_replicas_lease_stays_held_until_it_is_closed(bank, key):
    limits(bank, key, leaf=100)
    lease = ask(bank, "dead", key, need=90).lease
    bank.clock.advance(3600)
    assert ask(bank, "r1", key, need=11).short_of == key.key
    bank.ingest([charge(bank, key, "1", 40, lease=lease)])
    assert bank.close("dead") == 50
    assert bank.close("dead") == 0
    assert accounts(bank) == {key.key: (40, 0)}
    assert ask(bank, "r1", key, need=60).granted == 60


def test_usage_that_comes_after_its_lease_was_closed_is_settled_and_takes_from_nobody(bank, key):
    limits(bank, key, leaf=100)
    dead = ask(bank, "dead", key, need=50).lease
    bank.close("dead")
    ask(bank, "r1", key, need=20)
    bank.ingest([charge(bank, key, "1", 5, lease=dead)])
    assert accounts(bank) == {key.key: (5, 20)}


def test_a_closed_lease_is_over_for_the_replica_that_comes_back(bank, key):
    limits(bank, key, leaf=100)
    lease = ask(bank, "r1", key, need=50).lease
    bank.close("r1")
    told = ask(bank, "r1", key, lease=lease, granted=50, need=5)
    assert told.until_unix_us <= bank.clock.unix_us()
    fresh = ask(bank, "r1", key, need=5)
    assert fresh.lease not in {None, lease}
    assert accounts(bank) == {key.key: (0, 5)}


def test_a_host_lost_for_good_is_charged_in_full_and_the_ledger_says_so(bank, key):
    limits(bank, key, organisation=100)
    lease = ask(bank, "lost", key, need=50).lease
    bank.ingest([charge(bank, key, "1", 20, lease=lease)])
    assert bank.write_off(lease) == 30
    assert bank.write_off(lease) == 0
    assert accounts(bank) == {key.organisation: (50, 0)}
    (loss,) = [record for record in bank.usage() if record.outcome == "written_off"]
    assert (loss.charge, loss.lease, loss.key, loss.rows) == (30, lease, key.key, 0)
    with pytest.raises(NotFound):
        bank.write_off("lse_unknown")


def test_a_lease_ends_with_the_earliest_of_its_periods(bank, key):
    bank.set_budget(key, 0, 100, Period.MONTH)
    bank.set_budget(key, 2, 10, Period.DAY)
    first = ask(bank, "r1", key, need=10)
    left_s = (first.until_unix_us - bank.clock.unix_us()) / 1e6
    assert 0 < left_s <= DAY_S
    refused = ask(bank, "r1", key, lease=first.lease, granted=10, need=1)
    assert (refused.short_of, refused.resets_unix_us) == (key.key, first.until_unix_us)
    bank.clock.advance(left_s)
    over = ask(bank, "r1", key, lease=first.lease, granted=10, returned=4, need=1)
    assert (over.lease, over.granted) == (first.lease, 10)
    assert over.until_unix_us <= bank.clock.unix_us()
    fresh = ask(bank, "r1", key, need=10)
    assert fresh.lease != first.lease
    assert fresh.until_unix_us == first.until_unix_us + DAY_S * 1_000_000
    # What was spent before midnight is yesterday's, whenever it arrives; the month is one.
    bank.ingest([charge(bank, key, "1", 6, lease=first.lease)])
    by_start = {id_: (a.settled, a.leased) for id_, a in sorted(bank.accounts().items())}
    assert list(by_start.values()) == [(6, 10), (6, 0), (0, 10)]


def test_a_lease_over_all_time_has_no_end(bank, key):
    limits(bank, key, leaf=10)
    assert ask(bank, "r1", key, need=1).until_unix_us == FOREVER


def test_lowered_below_its_use_nothing_more_is_granted_and_running_work_ends(bank, key):
    limits(bank, key, leaf=100)
    lease = ask(bank, "r1", key, need=60).lease
    limits(bank, key, leaf=10)
    assert ask(bank, "r1", key, lease=lease, granted=60, need=1).short_of == key.key
    bank.ingest([charge(bank, key, "1", 60, lease=lease)])
    assert accounts(bank) == {key.key: (60, 0)}
    limits(bank, key, leaf=61)
    assert ask(bank, "r1", key, lease=lease, granted=60, need=1).granted == 61


def test_a_budget_set_on_a_branch_in_use_starts_from_the_ledger(bank, key):
    other = bank.new_key("acme", "lab")
    bank.ingest([charge(bank, key, "1", 30), charge(bank, other, "2", 12)])
    limits(bank, key, organisation=100, project=50, leaf=40)
    assert accounts(bank) == {key.organisation: (42, 0), key.project: (30, 0), key.key: (30, 0)}
    assert ask(bank, "r1", key, need=11).short_of == key.key


def test_a_budget_set_while_leases_are_out_keeps_them_reserved(bank, key):
    limits(bank, key, organisation=100)
    old = ask(bank, "r1", key, need=40)
    limits(bank, key, leaf=50)
    assert accounts(bank) == {key.organisation: (0, 40), key.key: (0, 40)}
    told = ask(bank, "r1", key, lease=old.lease, granted=40, need=5)
    assert told.until_unix_us <= bank.clock.unix_us()
    assert ask(bank, "r1", key, need=11).short_of == key.key
    new = ask(bank, "r1", key, need=10)
    assert new.lease != old.lease
    bank.ingest([charge(bank, key, "1", 25, lease=old.lease)])
    ask(bank, "r1", key, lease=old.lease, granted=40, returned=15)
    assert accounts(bank) == {key.organisation: (25, 10), key.key: (25, 10)}


def test_a_removed_budget_limits_no_more_and_its_leases_still_settle(bank, key):
    limits(bank, key, organisation=100, leaf=10)
    lease = ask(bank, "r1", key, need=10).lease
    bank.remove_budget(key, 2)
    assert ask(bank, "r1", key, need=50).granted == 50
    bank.ingest([charge(bank, key, "1", 10, lease=lease)])
    assert accounts(bank)[key.organisation] == (10, 50)
    assert accounts(bank)[key.key] == (10, 0)  # stays as history
    limits(bank, key, leaf=100)  # again: from the ledger, and what is out is held
    assert accounts(bank)[key.key] == (10, 50)


def test_a_budget_by_another_period_counts_that_period(bank, key):
    bank.set_budget(key, 2, 100, Period.TOTAL)
    bank.ingest([charge(bank, key, "1", 30)])
    bank.clock.advance(2 * DAY_S)
    bank.ingest([charge(bank, key, "2", 5)])
    lease = ask(bank, "r1", key, need=7).lease
    bank.set_budget(key, 2, 100, Period.DAY)
    assert accounts(bank) == {key.key: (5, 7)}
    bank.ingest([charge(bank, key, "3", 7, lease=lease)])
    assert accounts(bank) == {key.key: (12, 0)}


def test_a_budget_without_limit_counts_and_never_refuses(bank, key):
    bank.set_budget(key, 2, None, Period.DAY)
    lease = ask(bank, "r1", key, need=10**15).lease
    bank.ingest([charge(bank, key, "1", 10**15, lease=lease)])
    assert accounts(bank) == {key.key: (10**15, 0)}


def test_drift_is_seen(bank, key):
    limits(bank, key, leaf=100)
    lease = ask(bank, "r1", key, need=50).lease
    bank.ingest([charge(bank, key, "1", 10, lease=lease)])
    spoil(bank, 3)
    found = {(one.number, one.kept - one.recomputed) for one in bank.drift()}
    assert found == {("settled", 3)}
    spoil(bank, -3)


def spoil(bank, amount):
    if isinstance(bank, InMemory):
        for account in bank.accounts().values():
            account.settled += amount
    else:
        with bank.tenancy._store.append_everything() as session:
            session.connection().exec_driver_sql(f"UPDATE accounts SET settled=settled+{amount}")


def test_keys_that_follow_one_another_spend_one_budget(bank, key):
    limits(bank, key, leaf=10)
    new = bank.rotate(key)
    newest = bank.rotate(new)
    assert ask(bank, "r1", key, need=4).granted == 4
    second = ask(bank, "r1", new, need=5)
    assert second.granted == 5
    assert ask(bank, "r2", newest, need=2).short_of == key.key
    bank.ingest([charge(bank, new, "1", 5, lease=second.lease)])
    assert accounts(bank) == {key.key: (5, 4)}
    assert bank.close("r1") == 4
    assert ask(bank, "r2", newest, need=5).granted == 5


def test_a_budget_set_by_a_later_key_is_that_of_the_line(bank, key):
    old = ask(bank, "r1", key, need=1)  # nothing limits it yet
    assert old.lease is None
    bank.ingest([charge(bank, key, "1", 3)])
    new = bank.rotate(key)
    bank.ingest([charge(bank, new, "2", 4)])
    limits(bank, new, leaf=10)
    assert accounts(bank) == {key.key: (7, 0)}
    assert ask(bank, "r1", key, need=4).short_of == key.key
    assert ask(bank, "r1", new, need=3).granted == 3
    bank.remove_budget(key, 2)
    assert ask(bank, "r2", new, need=3).lease is None
