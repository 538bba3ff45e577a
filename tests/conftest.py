"""The servers of a session, one of a kind, and the order: what needs a hub comes last, so that its
processes are nobody else's neighbours; of that first what starts its own, last what needs two, so
that the second is not there while the first is asked.

Files are written to memory where there is enough of it: databases wait for their disk at every
commit.
"""

import gc
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from plaza_serving.native import loading
from tests.alike import share_statements
from tests.mlflow_server import MlflowServer, running_mlflow
from tests.postgres import Server, running_server
from tests.registry.s3_server import S3Server, s3_server

settings.register_profile("plaza", deadline=None)  # how long one example takes proves nothing
settings.load_profile("plaza")
share_statements()
MEMORY = Path("/dev/shm")  # pytest makes a directory of its own there
ENOUGH = 4 << 30
HERE = Path(__file__).parent
HUBS = HERE / "hub"
# Few tests and many seconds: begun first, so that none of them is left to one core at the end.
_LONG = {
    HERE / name
    for name in (
        "accel/examination/test_examine.py",
        "registry/test_importing.py",
        "serving/control/test_main.py",
        "serving/control/test_mirror_machine.py",
        "serving/control/test_mlflow_away.py",
        "serving/control/test_postgres.py",
        "serving/dataplane/test_exact.py",
        "serving/test_load_and_unload.py",
        "tenancy/test_budget_machine.py",
        "tenancy/test_registry_machine.py",
        "tenancy/test_several_processes.py",
        "tenancy/test_upkeep.py",
        "training/test_baselines.py",
        "training/test_bundles.py",
        "training/test_forecast.py",
        "training/test_recipe_file.py",
        "training/test_text.py",
        "training/vision/test_smoke.py",
    )
}


def pytest_report_header():
    return f"data path: {loading.state().value}"


def pytest_configure():
    gc.disable()  # nothing that is imported becomes garbage; to look for it takes a third longer
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ and _takes_files(MEMORY):
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)


def _takes_files(memory: Path) -> bool:
    """Containers often have little of it, or nothing there may be executed."""
    return (
        memory.is_dir()
        and os.access(memory, os.W_OK)
        and not os.statvfs(memory).f_flag & os.ST_NOEXEC
        and shutil.disk_usage(memory).free >= ENOUGH
    )


def pytest_collection_finish():
    """What was collected stays until the end: nobody need look through it for garbage."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items):
    tests = Counter(item.path for item in items)
    lost = [
        item.nodeid
        for item in items
        if _needs_a_hub(item)
        and not item.get_closest_marker("prove")
        and HUBS not in item.path.parents
    ]
    if lost:
        raise pytest.UsageError(f"`make test` looks for stories of a hub in {HUBS}: {lost}")
    items.sort(key=lambda item: _place(item, tests[item.path]))


def _place(item, tests: int) -> tuple[bool | int, ...]:
    if not _needs_a_hub(item):
        return (False, item.path not in _LONG, -tests)
    return (True, "plain" in item.fixturenames, "hub" in item.fixturenames)


def _needs_a_hub(item):
    return item.get_closest_marker("hub") is not None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Starts with the first test that asks."""
    with running_server(os.environ.get("PYTEST_DEBUG_TEMPROOT")) as server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory) -> Iterator[S3Server]:
    """Starts with the first test that asks; each takes a prefix of its own."""
    with s3_server(tmp_path_factory.mktemp("s3-server")) as server:
        yield server


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory) -> Iterator[MlflowServer]:
    """Starts with the first test that asks. Tests that stop it start it again."""
    with running_mlflow(tmp_path_factory.mktemp("mlflow-server")) as server:
        yield server
