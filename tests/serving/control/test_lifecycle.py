"""Versions, aliases, rollouts and the catalogue over the admin API."""

from __future__ import annotations

import asyncio

import pytest

from plaza_core.rollout import SequentialTest, Verdict
from plaza_core.running import Examination
from tests.serving.control.conftest import bundle

MODELS = "/api/v1/models"


class Hub:
    """`acme` with three versions of `doubler`."""

    def __init__(self, world):
        self.world = world

    async def settle(self):
        self.keys = await self.world.organisation(
            "acme", engineer={"role": "engineer"}, admin={"role": "admin"}
        )
        self.keys |= await self.world.organisation("city", guest={"role": "consumer"})
        self.keys["operator"] = self.world.operator
        card = "---\nmetrics: {{ap50: 0.{0}, latency.p99: {0}}}\nlicence: MIT\n---\nCars.\n"
        for n in (7, 8, 9):
            made = await self.world.register(
                self.keys["engineer"], bundle("doubler", card.format(n))
            )
            self.model = made.json()["model"]

    async def ask(self, method, path, body=None, *, who="engineer", status=200, **params):
        more = {} if body is None else {"json": body}
        answer = await self.world.ask(self.keys[who], method, path, params=params, **more)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def states(self):
        items = (await self.ask("GET", f"{MODELS}/doubler/versions"))["items"]
        return [item["state"] for item in reversed(items)]

    async def champion(self):
        return (await self.ask("GET", f"{MODELS}/doubler"))["aliases"].get("champion")


@pytest.fixture
async def hub(world):
    found = Hub(world)
    await found.settle()
    return found


V2 = f"{MODELS}/doubler/versions/2"
CHAMPION = f"{MODELS}/doubler/aliases/champion"


async def test_a_version_from_state_to_state(hub):
    assert await hub.states() == ["serving", "examined", "examined"]
    for verb, state in (
        ("stage", "staged"),
        ("unstage", "examined"),
        ("retire", "retired"),
        ("restore", "examined"),
    ):
        assert (await hub.ask("POST", f"{V2}/{verb}"))["state"] == state
        assert (await hub.states())[1] == state
    await hub.ask("POST", f"{V2}/withdraw", {"why": "a new CVE"})
    assert (await hub.states())[1] == "registered"
    await hub.ask("PUT", CHAMPION, {"version": 2}, status=409)
    assert (await hub.ask("POST", f"{V2}/examine"))["state"] == "examined"
    refused = await hub.ask("POST", f"{MODELS}/doubler/versions/1/retire", status=409)
    assert "champion" in refused["error"]


async def test_another_examination_opens_what_is_stored(hub, world):
    opened = []

    class Looking:
        def examine(self, directory, manifest):
            opened.append(sorted(path.name for path in directory.iterdir()))
            return Examination(False, "it loops for ever", "cpu", "none", {}, 0, 0)

    world.parts.registrar._certifier = None
    world.parts.registrar._examiner = Looking()
    assert (await hub.ask("POST", f"{V2}/examine"))["state"] == "registered"
    assert opened == [["model.onnx", "plaza.yaml"]]


async def test_rolling_back_walks_back_and_waits_for_replicas(hub, world):
    for version in (2, 3):
        await hub.ask("PUT", CHAMPION, {"version": version, "why": f"better {version}"})
    await world.beat("r1", ready={hub.model: [1, 2, 3]})
    asked = asyncio.create_task(hub.ask("POST", f"{CHAMPION}/rollback", {"why": "errors"}))
    before = world.parts.feed.current.version
    while world.parts.feed.current.version == before:
        await asyncio.sleep(0.001)
    assert not asked.done()
    await world.beat("r1", ready={hub.model: [1, 2, 3]})
    done = await asked
    assert (done["version"], done["published_on"]) == (2, ["r1"])
    steps = (await hub.ask("GET", f"{CHAMPION}/history"))["items"]
    assert [(s["kind"], s["version"], s["why"]) for s in steps] == [
        ("rollback", 2, "errors"),
        ("promote", 3, "better 3"),
        ("promote", 2, "better 2"),
        ("promote", 1, "first"),
    ]


@pytest.mark.parametrize(("verb", "state"), [("promote", "promoted"), ("cancel", "cancelled")])
async def test_ending_a_rollout_by_hand_waits_for_replicas(hub, world, verb, state):
    made = await hub.ask("PUT", CHAMPION, {"version": 2, "canary_percent": 5})
    await world.beat("r1", ready={hub.model: [1, 2, 3]})
    asked = asyncio.create_task(hub.ask("POST", f"/api/v1/rollouts/{made['rollout']}/{verb}"))
    before = world.parts.feed.current.version
    while world.parts.feed.current.version == before:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    assert not asked.done()
    await world.beat("r1", ready={hub.model: [1, 2, 3]})
    assert (await asked)["state"] == state


async def test_a_removed_alias_comes_back(hub):
    await hub.ask("DELETE", CHAMPION, status=204)
    assert await hub.champion() is None
    assert (await hub.ask("POST", f"{CHAMPION}/rollback", {}))["version"] == 1


async def test_a_canary_is_shown_stopped_and_explained(hub, world):
    made = await hub.ask("PUT", CHAMPION, {"version": 2, "canary_percent": 2.5})
    assert await hub.champion() == 1
    rollout = made["rollout"]
    shown = await hub.ask("GET", f"/api/v1/rollouts/{rollout}")
    assert (shown["part"], shown["state"], shown["model"]) == (250, "running", "acme.main.doubler")
    assert "evidence" not in shown
    refused = await hub.ask("PUT", CHAMPION, {"version": 3}, status=409)
    assert rollout in refused["error"]
    test = SequentialTest(name="failures", evidence=5000, level=0.0005, candidate=(9, 40))
    verdict = Verdict(bad=True, because="failures", tests=[test])
    world.parts.tenancy.rollouts.stop(rollout, verdict)
    (shown,) = (await hub.ask("GET", "/api/v1/rollouts", model="doubler"))["items"]
    assert (shown["state"], shown["ended_by"]) == ("stopped", "gate")
    assert shown["verdict"]["tests"][0]["evidence"] == 5000
    await hub.ask("POST", f"/api/v1/rollouts/{rollout}/cancel", status=409)


async def test_a_rollout_ends_by_hand(hub):
    made = await hub.ask("PUT", CHAMPION, {"version": 2, "shadow_percent": 100})
    done = await hub.ask("POST", f"/api/v1/rollouts/{made['rollout']}/promote")
    assert (done["state"], await hub.champion()) == ("promoted", 2)
    made = await hub.ask("PUT", CHAMPION, {"version": 3, "canary_percent": 50})
    await hub.ask("PUT", CHAMPION, {"version": 1, "force": True})
    shown = await hub.ask("GET", f"/api/v1/rollouts/{made['rollout']}")
    assert (shown["state"], await hub.champion()) == ("cancelled", 1)


@pytest.mark.parametrize(
    "more",
    [
        {"canary_percent": 100},
        {"canary_percent": 0},
        {"shadow_percent": 101},
        {"canary_percent": 1, "shadow_percent": 1},
        {"canary_percent": 1, "policy": {"alpha": 0.5}},
        {"canary_percent": 1, "policy": {"unknown": 1}},
        {"weight": 3},
    ],
)
async def test_a_part_that_is_none_is_refused(hub, more):
    await hub.ask("PUT", CHAMPION, {"version": 2, **more}, status=422)


async def test_once_is_once_for_these_verbs_too(hub, world):
    async with world.client(hub.keys["engineer"], **{"idempotency-key": "try-1"}) as client:
        body = {"version": 2, "canary_percent": 5}
        first = await client.put(CHAMPION, json=body)
        again = await client.put(CHAMPION, json=body)
    assert (first.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert len((await hub.ask("GET", "/api/v1/rollouts"))["items"]) == 1


async def test_what_breaks_callers_is_told_before_and_refused(hub, world):
    wider = bundle("doubler")
    wider["plaza.yaml"] = wider["plaza.yaml"].replace(
        b"- batch\n    - 1", b"- batch\n    - width", 1
    )
    text = wider["plaza.yaml"].decode().replace("name: y", "name: doubled")
    wider["plaza.yaml"] = text.encode()
    done = await world.register(hub.keys["engineer"], wider)
    assert done.status_code == 200, done.text
    found = await hub.ask("GET", f"{MODELS}/doubler/diff", before="champion", after="4")
    assert found["compatible"] is False
    assert [c["where"] for c in found["changes"] if c["breaking"]] == ["output y"]
    refused = await hub.ask("PUT", CHAMPION, {"version": 4}, status=409)
    assert refused["code"] == "breaking_change"
    assert "output y is gone" in refused["error"]
    await hub.ask("PUT", CHAMPION, {"version": 4, "allow_breaking": True})


async def test_a_diff_tells_metrics_and_examinations(hub):
    found = await hub.ask("GET", f"{MODELS}/doubler/diff", before="1", after="3")
    assert (found["compatible"], found["same_bundle"], found["changes"]) == (True, False, [])
    assert found["metrics"] == [
        {"name": "ap50", "before": 0.7, "after": 0.9},
        {"name": "latency.p99", "before": 7.0, "after": 9.0},
    ]
    assert {m["name"] for m in found["examination"]} == {"run_us", "peak_bytes"}
    await hub.ask("GET", f"{MODELS}/doubler/diff", before="1", after="7", status=404)


async def test_clearing_away_is_looked_at_first_and_keeps_its_time(hub, world):
    await hub.ask("POST", f"{V2}/retire")
    blobs = set(world.parts.blobs.digests())
    assert (await hub.ask("GET", "/api/v1/retired"))["items"] == []
    refused = await hub.ask("GET", "/api/v1/retired", older_than_days=3, status=422)
    assert "30 days" in refused["error"]
    world.clock.advance(31 * 86_400)
    found = await hub.ask("GET", "/api/v1/retired")
    assert [(i["version"], found["removed"]) for i in found["items"]] == [(2, False)]
    assert set(world.parts.blobs.digests()) == blobs
    done = await hub.ask("DELETE", "/api/v1/retired")
    assert (len(done["items"]), done["removed"], done["blobs"]) == (1, True, 1)
    left = set(world.parts.blobs.digests())
    assert len(blobs - left) == 1, "its manifest is the others' too, and stays"
    assert len(await hub.states()) == 2


async def test_the_catalogue_is_searched_tagged_shared_and_published(hub):
    tagged = await hub.ask("PATCH", f"{MODELS}/doubler/tags", {"add": ["edge"]})
    assert tagged == {"tags": ["edge"]}
    (item,) = (await hub.ask("GET", "/api/v1/catalogue", q="cars", tag="edge"))["items"]
    assert (item["name"], item["summary"]) == ("doubler", "Cars.")
    assert (await hub.ask("GET", "/api/v1/catalogue", who="guest"))["items"] == []
    city = {"organisations": ["city"]}
    await hub.ask("POST", f"{MODELS}/doubler/guests", city, status=403)
    await hub.ask("POST", f"{MODELS}/doubler/guests", city, who="admin")
    assert len((await hub.ask("GET", "/api/v1/catalogue", who="guest"))["items"]) == 1
    await hub.ask("DELETE", f"{MODELS}/doubler/guests/city")
    assert (await hub.ask("GET", "/api/v1/catalogue", who="guest"))["items"] == []
    asked = await hub.ask("POST", f"{MODELS}/doubler/publish", {"note": "ours"}, who="admin")
    assert asked["public"] is False
    url = f"/api/v1/catalogue/requests/{asked['request']}"
    await hub.ask("POST", f"{url}/approve", who="admin", status=403)
    done = await hub.ask("POST", f"{url}/approve", who="operator")
    assert (done["state"], done["model"]) == ("approved", "acme.main.doubler")
    (item,) = (await hub.ask("GET", "/api/v1/catalogue", who="guest"))["items"]
    assert item["visibility"] == "public"
