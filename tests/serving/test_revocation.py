"""From an admin's verb to a replica's refusal: at most a second, over the path that hubs use.

control verb ──▶ table changes ──▶ long poll wakes ──▶ replica refuses
"""

from __future__ import annotations

import asyncio

import pytest

from tests.serving.whole import whole_hub

ROUNDS = 20
AT_MOST_S = 1.0


@pytest.fixture
async def hub(tmp_path):
    async with whole_hub(tmp_path) as opened:
        yield opened


async def test_a_revoked_key_is_refused_by_a_replica_within_a_second(hub):
    took, now = [], asyncio.get_running_loop().time
    for _ in range(ROUNDS):
        key = await hub.new_key()
        await hub.until(200, key)
        asked = now()
        await hub.made("DELETE", f"/api/v1/organisations/acme/keys/{key.split('_')[1]}")
        await hub.until(401, key)
        took.append(now() - asked)
    assert max(took) <= AT_MOST_S, took


async def test_a_rotated_key_and_its_successor_both_work_until_the_overlap_ends(hub):
    old = await hub.new_key()
    await hub.until(200, old)
    path = f"/api/v1/organisations/acme/keys/{old.split('_')[1]}"
    new = (await hub.made("POST", f"{path}/rotate", {"overlap_s": 3600}, quiet=True))["key"]
    await hub.until(200, new)
    assert (await hub.ask("GET", "/v2", key=old)).status == 200
    await hub.made("PUT", f"{path}/expiry", {"expires_in_s": 1})
    assert await hub.until(401, old) <= 1 + AT_MOST_S
    assert (await hub.ask("GET", "/v2", key=new)).status == 200


async def test_a_suspended_organisation_is_out_within_a_second_and_back_again(hub):
    key = await hub.new_key()
    await hub.until(200, key)
    for suspended, status in ((True, 401), (False, 200)):
        await hub.made("PATCH", "/api/v1/organisations/acme", {"suspended": suspended})
        assert await hub.until(status, key) <= AT_MOST_S
