"""Budgets under everything that can happen, on both banks; and planted bugs that must be found."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.tenancy.banks import OnSql, on_postgres
from tests.tenancy.budget_machine import BudgetMachine
from tests.tenancy.planted import PLANTED


class OnSqlMachine(BudgetMachine):
    open_bank = staticmethod(OnSql)


def on_postgres_machine(server) -> type[BudgetMachine]:
    class OnPostgresMachine(BudgetMachine):
        open_bank = staticmethod(lambda: on_postgres(server))

    return OnPostgresMachine


def prove(machine, examples: int, steps: int, **more) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            **more,
        ),
    )


def test_no_budget_is_overspent_and_nothing_is_lost_in_memory():
    prove(BudgetMachine, 150, 40)


def test_no_budget_is_overspent_and_nothing_is_lost_on_sql():
    prove(OnSqlMachine, 8, 30)


@pytest.mark.postgres
def test_no_budget_is_overspent_and_nothing_is_lost_on_postgres(postgres):
    prove(on_postgres_machine(postgres), 4, 30)


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_no_budget_is_overspent_and_nothing_is_lost_in_memory_for_long():
    prove(BudgetMachine, 2500, 50)


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_no_budget_is_overspent_and_nothing_is_lost_on_sql_for_long():
    prove(OnSqlMachine, 60, 40)


@pytest.mark.postgres
@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_no_budget_is_overspent_and_nothing_is_lost_on_postgres_for_long(postgres):
    prove(on_postgres_machine(postgres), 40, 40)


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug):
    """Each from the same beginning every time, so that a lucky run hides nothing."""
    planted, finding = PLANTED[bug]
    with pytest.raises(AssertionError, match=finding):
        prove(planted, 2000, 40, derandomize=True, database=None, phases=[Phase.generate])


@pytest.mark.prove
@pytest.mark.parametrize("beginning", range(1, 11))
@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found_from_any_beginning(bug, beginning):
    """One lucky beginning would prove little. Which invariant speaks first may differ."""
    planted, finding = PLANTED[bug]
    begun = seed(beginning)(type("Begun", (planted,), {}))
    with pytest.raises(AssertionError, match=finding):
        prove(begun, 2000, 40, database=None, phases=[Phase.generate])
