"""Usage, audit and status: who may see what, and that sums are exact."""

from plaza_core.inference import UsageRecord


def used(number, who, at, compute=100):
    return UsageRecord(
        organisation=who["organisation"],
        project=who["project"],
        key=who["key"],
        request_id=f"{who['key']}-{number}",
        model="m",
        version=1,
        digest="0" * 64,
        provider="cpu",
        rows=2,
        compute_us=compute,
        host_us=7,
        latency_us=500,
        outcome="ok",
        at_unix_us=at,
        replica="r1",
    )


async def test_usage_is_summed_for_the_asked_span_and_owner(world):
    texts = await world.organisation("acme", user={"role": "consumer"})
    other = await world.organisation("globex", user={"role": "consumer"})
    acme = (await world.ask(texts["user"], "GET", "/api/v1/whoami")).json()
    globex = (await world.ask(other["user"], "GET", "/api/v1/whoami")).json()
    now = world.clock.unix_us()
    world.parts.tenancy.ledger.ingest(
        [used(n, acme, now - 1) for n in range(5)]
        + [used(9, acme, now - 2 * 86_400_000_000)]
        + [used(1, globex, now - 1, compute=999)]
    )

    mine = (await world.ask(texts["user"], "GET", "/api/v1/usage")).json()
    every = await world.ask(world.operator, "GET", "/api/v1/usage?organisation=*&by=organisation")
    old = await world.ask(
        world.operator,
        "GET",
        "/api/v1/usage",
        params={"organisation": "acme", "since": "2020-01-01T00:00:00Z", "by": ["key", "model"]},
    )

    assert [(r["requests"], r["compute_us"], r["rows"]) for r in mine["items"]] == [(5, 500, 10)]
    assert sum(r["compute_us"] for r in every.json()["items"]) == 1499
    assert [r["requests"] for r in old.json()["items"]] == [6]
    assert old.json()["items"][0]["group"]["key"] == acme["key"]


async def test_a_span_is_exact_and_must_run_forwards(world):
    url = "/api/v1/usage?since=2026-01-01T00:00:00.000001Z&until=2026-01-01T00:00:00.000003%2B00:00"
    span = (await world.ask(world.operator, "GET", url)).json()
    assert span["until_us"] - span["since_us"] == 2
    assert span["since_us"] % 1_000_000 == 1

    backwards = "/api/v1/usage?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z"
    assert (await world.ask(world.operator, "GET", backwards)).status_code == 422
    vague = "/api/v1/usage?since=2026-01-02T00:00:00"
    assert (await world.ask(world.operator, "GET", vague)).status_code == 422


async def test_everybodys_usage_is_for_operators(world):
    keys = await world.organisation("acme", admin={"role": "admin"})
    for path in ("usage", "audit"):
        url = f"/api/v1/{path}?organisation="
        assert (await world.ask(keys["admin"], "GET", url + "*")).status_code == 403
        assert (await world.ask(keys["admin"], "GET", url + "plaza")).status_code == 404
        assert (await world.ask(world.operator, "GET", url + "*")).status_code == 200


async def test_every_change_is_in_the_audit_trail_page_by_page(world):
    keys = await world.organisation("acme", admin={"role": "admin"}, auditor={"role": "auditor"})
    for name in ("a", "b", "c"):
        url = "/api/v1/organisations/acme/projects"
        await world.ask(keys["admin"], "POST", url, json={"name": name})

    entries, before = [], {}
    while True:
        params = {"limit": 2, **before}
        page = (await world.ask(keys["auditor"], "GET", "/api/v1/audit", params=params)).json()
        entries += page["items"]
        if page["next"] is None:
            break
        before = {"before": page["next"]}

    assert [e["id"] for e in entries] == sorted({e["id"] for e in entries}, reverse=True)
    assert sum(e["action"] == "project.create" for e in entries) >= 3
    assert {e["organisation_name"] for e in entries} == {"acme"}


async def test_status_shows_pools_replicas_and_what_waits(world):
    await world.beat("r1", ready={"m": [1, 2]})
    await world.beat("r2", table="old", failed={"m/2": "model_failed"})
    world.clock.advance(6)
    await world.beat("r3")

    status = (await world.ask(world.operator, "GET", "/api/v1/status")).json()

    replicas = {r["replica"]: r for r in status["replicas"]}
    assert [replicas[r]["live"] for r in ("r1", "r2", "r3")] == [False, False, True]
    assert [replicas[r]["current"] for r in ("r1", "r2", "r3")] == [True, False, True]
    assert replicas["r1"]["ready"] == 2
    assert replicas["r2"]["failed"] == {"m/2": "model_failed"}
    wanted = world.parts.settings.replicas
    assert status["pools"] == [
        {
            "name": "main",
            "provider": "cpu",
            "route_prefix": "/",
            "grpc_port": 8001,
            "wanted": wanted,
            "running": 0,
            "status": "absent",
            "why": None,
        }
    ]
    assert status["ray"]["reachable"] is True
    assert status["outbox_pending"] == 0
    assert status["table_version"] == world.parts.feed.current.version
