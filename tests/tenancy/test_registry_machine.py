"""The registry under every order of its verbs; and planted bugs that must be found."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from plaza_tenancy import aliases, catalogue, lifecycle, rollouts, steps
from plaza_tenancy.schema import ModelRow
from tests.tenancy.registry_machine import RegistryMachine
from tests.tenancy.world import new_world


def machine(new_url) -> type[RegistryMachine]:
    class Machine(RegistryMachine):
        open_world = staticmethod(lambda: new_world(new_url()))

    return Machine


def prove(kind, examples: int, count: int, **more) -> None:
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=examples,
            stateful_step_count=count,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            **more,
        ),
    )


def test_no_order_of_verbs_breaks_the_registry(new_url):
    prove(machine(new_url), 8, 30)


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_no_order_of_verbs_breaks_the_registry_for_long(new_url):
    prove(machine(new_url), 200, 60)


def _undone_by_forgetting(patch):
    """A rollback that keeps its own way back: the next one swings forward again."""
    before = steps.return_to

    def wrong(change, model, last, target, **more):
        target.back = last.back
        before(change, model, last, target, **more)

    patch.setattr(aliases, "return_to", wrong)


def _set(where, name):
    return lambda patch: patch.setattr(where, name, lambda *_, **__: None)


PLANTED = {
    "what serves is retired": _set(lifecycle._Marked, "demand_idle"),
    "a rollback swings": _undone_by_forgetting,
    "a rollout outlives its end": _set(rollouts, "_undo"),
    "retired is forgotten": _set(aliases, "demand_callable"),
    "guests are everybody": lambda patch: patch.setattr(
        catalogue, "named_to", lambda _: ModelRow.visibility == "shared"
    ),
    "a promotion by force leaves the rollout": _set(aliases, "close_rollout"),
}


QUICK = {"what serves is retired", "a rollback swings", "guests are everybody"}


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True, scope="session")
@pytest.mark.parametrize(
    "bug", [bug if bug in QUICK else pytest.param(bug, marks=pytest.mark.prove) for bug in PLANTED]
)
def test_a_planted_bug_is_found(bug, new_url, monkeypatch):
    PLANTED[bug](monkeypatch)
    with pytest.raises(AssertionError):
        prove(
            machine(new_url),
            30,
            40,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            report_multiple_bugs=False,
        )
