"""Reserves follow what a model has cost lately, and are exact where the price is fixed."""

import numpy as np
import pytest

from plaza_core.budget import Price
from plaza_core.inference import Call
from plaza_core.testing import FakeClock
from plaza_models.forecast.tasks import AnomalyTask
from plaza_serving.dataplane.bills import Bill, Reservation
from plaza_serving.dataplane.budgets import Budgets
from plaza_serving.dataplane.reservations import Reservations
from plaza_serving.dataplane.reserves import FIRST_US, Reserves, rows_of
from tests.serving.dataplane.test_batch import work
from tests.serving.dataplane.world import make_model, make_table

VERSION = ("m", 1)
LONG = 10_000_000
PLAIN = Price()


def taught(*costs, price=PLAIN):
    reserves = Reserves()
    for cost in costs:
        reserves.observe(VERSION, price, 1, cost)
    return reserves


def test_a_fixed_price_is_reserved_to_the_unit():
    assert Reserves().estimate(VERSION, Price(fixed=250), 3, allowed_us=1) == 750


def test_the_first_requests_hold_a_guess_that_the_deadline_bounds():
    price = Price(weight=4, host_weight=1)
    assert Reserves().estimate(VERSION, price, 2, LONG) == 2 * 4 * FIRST_US
    assert Reserves().estimate(VERSION, price, 2, allowed_us=10) == 40


def test_then_they_hold_what_lately_was_dear_and_a_fifth_more():
    assert taught(*[1000] * 20).estimate(VERSION, PLAIN, 3, LONG) == 3 * 1201


def test_one_outlier_moves_nothing_and_two_do():
    assert taught(*[1000] * 100, 90_000, *[1000] * 27).estimate(VERSION, PLAIN, 1, LONG) == 1201
    twice = taught(*[1000] * 100, 90_000, 90_000, *[1000] * 26)
    assert twice.estimate(VERSION, PLAIN, 1, LONG) == 108_001


def test_what_was_dear_long_ago_is_forgotten():
    reserves = taught(*[50_000] * 128, *[1000] * 128)
    assert reserves.estimate(VERSION, PLAIN, 1, LONG) == 1201


def test_a_new_price_is_learned_anew():
    reserves = taught(*[1000] * 20)
    assert reserves.estimate(VERSION, Price(weight=2), 1, LONG) == 2 * FIRST_US


def test_versions_that_left_the_table_are_forgotten():
    model = make_model()
    reserves = Reserves()
    here, gone = (model.id, 1), ("gone", 1)
    for version in (here, gone):
        for _ in range(20):
            reserves.observe(version, PLAIN, 1, 1000)
    reserves.keep_only(make_table([model]))
    assert reserves.estimate(here, PLAIN, 1, LONG) == 1201
    assert reserves.estimate(gone, PLAIN, 1, LONG) == FIRST_US


class Texts:
    texts = ("one", "two", "three")


@pytest.mark.parametrize(
    ("options", "batched", "rows"),
    [
        ({"tensors": {"x": np.zeros((5, 2))}}, True, 5),
        ({"tensors": {"x": np.zeros((5, 2))}}, False, 1),
        ({"task": Texts()}, True, 3),
        ({"task": AnomalyTask(((1.0,) * 9, (1.0,) * 9), steps=5, every=2)}, True, 6),
        ({"task": {"x": 1}}, True, 1),
    ],
)
def test_rows_are_counted_from_the_form_of_a_request(options, batched, rows):
    assert rows_of(Call("r", "m", None, **options), batched=batched) == rows


@pytest.mark.parametrize(
    ("charge", "overrun", "held", "estimate"),
    [
        (8, 120, 100, 8 * 6 // 5 + 1),  # the platform bore a disturbance: it is not held next time
        (7, 993, 7, 1000 * 6 // 5 + 1),  # the reserve was too small: all that it cost is
    ],
)
async def test_what_is_held_next_follows_what_is_charged(charge, overrun, held, estimate):
    reserves = Reserves()
    reservations = Reservations(Budgets(FakeClock()), reserves)
    one = work()
    one.reservation = Reservation(None, held)
    for _ in range(8):
        reservations.learn(one, Bill(rows=1, charge=charge, overrun=overrun))
    assert reserves.estimate(one.target.key, one.price, 1, 10**9) == estimate
