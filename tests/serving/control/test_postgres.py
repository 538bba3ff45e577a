"""Control on PostgreSQL: composed of the real parts, and two processes on one database."""

from __future__ import annotations

import shutil

import httpx
import pytest

from plaza_core.settings import Settings
from plaza_serving.control.app import build_app
from plaza_serving.control.main import ADMIN_KEY_FILE, compose
from tests.serving.control.test_main import control, ready

pytestmark = pytest.mark.postgres


@pytest.fixture
def database(postgres):
    made = postgres.empty()
    yield made
    postgres.drop(made)


async def test_it_migrates_as_the_owner_and_serves_as_somebody_else(database, tmp_path):
    settings = Settings(
        state_dir=tmp_path, database_url=database.url, database_owner_url=database.owner_url
    )
    assert "postgresql" not in repr(settings), "it may hold a password"
    parts, _ = compose(settings)
    key = (tmp_path / ADMIN_KEY_FILE).read_text().strip()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(build_app(parts)),
        base_url="http://control.test",
        headers={"authorization": f"Bearer {key}"},
    ) as client:
        assert (await client.get("/readyz")).status_code == 200
        made = await client.post("/api/v1/organisations", json={"name": "acme"})
        assert made.status_code == 201
        listed = await client.get("/api/v1/organisations")
        assert "acme" in listed.text
    parts.close_waits()
    parts.tenancy.close()
    assert not (tmp_path / "plaza.db").exists()


def test_two_processes_with_directories_of_their_own_are_one_hub(database, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    both = {"PLAZA_DATABASE_URL": database.url}
    with control(one, **both, PLAZA_DATABASE_OWNER_URL=database.owner_url) as (first, here, _):
        ready(first, here)
        shutil.copytree(one / "secrets", two / "secrets")  # the pepper of the keys is shared
        with control(two, **both) as (second, there, _):
            ready(second, there)
            key = (one / ADMIN_KEY_FILE).read_text().strip()
            assert not (two / ADMIN_KEY_FILE).exists()
            for client in (here, there):
                client.headers["authorization"] = f"Bearer {key}"
            assert here.post("/api/v1/organisations", json={"name": "acme"}).status_code == 201
            assert there.get("/api/v1/organisations/acme").status_code == 200
            first.kill()
            assert there.post("/api/v1/organisations", json={"name": "city"}).status_code == 201
