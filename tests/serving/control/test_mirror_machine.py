"""Any order of promotions here, hands in MLflow, outages and polls ends in the truth, at rest."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.serving.control.mirror_machine import MirrorMachine
from tests.tenancy.world import SqliteFiles, new_world


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    world = new_world(SqliteFiles(tmp_path_factory.mktemp("databases")).migrated().url)
    yield world
    world.tenancy.close()


def run(world, examples, steps):
    machine = type("Machine", (MirrorMachine,), {"world": world})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(300)
def test_nothing_a_person_did_is_lost_and_all_comes_to_rest(shared):
    run(shared, examples=20, steps=30)


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_nothing_a_person_did_is_lost_in_long_histories(shared):
    run(shared, examples=200, steps=60)
