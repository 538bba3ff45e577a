"""The books over the admin API: statements, verification, corrections, retention."""

import csv
import hashlib
import io
import json

from tests.serving.control.test_reports import used

STATEMENT = "/api/v1/organisations/acme/statements/2023-11"
CORRECTIONS = "/api/v1/organisations/acme/corrections"


async def books(world):
    """`acme` with three requests of November 2023; returns (its keys, who its user is)."""
    keys = await world.organisation(
        "acme", user={"role": "consumer"}, admin={"role": "admin"}, auditor={"role": "auditor"},
        bound={"role": "auditor", "project": "main"},
    )  # fmt: skip
    who = (await world.ask(keys["user"], "GET", "/api/v1/whoami")).json()
    now = world.clock.unix_us()
    world.parts.tenancy.ledger.ingest([used(n, who, now) for n in range(3)])
    return keys, who


async def test_a_statement_as_json_can_be_recomputed_by_whoever_gets_it(world):
    keys, _ = await books(world)
    answer = await world.ask(keys["auditor"], "GET", STATEMENT)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == 'attachment; filename="acme-2023-11.json"'
    told = answer.json()
    assert (told["name"], told["period"], told["totals"]["requests"]) == ("acme", "2023-11", 3)
    (batch,) = told["batches"]
    fields = ("at", "charge", "count", "organisation", "previous", "sequence")
    header = {name: batch[name] for name in fields} | {"format": told["format"]}
    lines = [header, *batch["entries"]]
    dumps = [
        json.dumps(x, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for x in lines
    ]
    made = hashlib.sha256("".join(f"{line}\n" for line in dumps).encode()).hexdigest()
    assert made == batch["digest"] == told["head"]["digest"]


async def test_a_statement_as_csv_is_a_table(world):
    keys, who = await books(world)
    answer = await world.ask(keys["auditor"], "GET", STATEMENT + "?format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [r["kind"] for r in rows] == ["use"] * 3 + ["batch", "sum", "total", "head"]
    assert {r["key"] for r in rows[:3]} == {who["key"]}
    assert rows[-2]["compute_us"] == "300"


async def test_what_is_no_month_or_no_format_is_refused_before_anything_is_sent(world):
    keys, _ = await books(world)
    for path in (STATEMENT[:-1] + "x", STATEMENT + "?format=xlsx", STATEMENT[:-2] + "13"):
        answer = await world.ask(keys["auditor"], "GET", path)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    bound = await world.ask(keys["bound"], "GET", STATEMENT)
    assert bound.status_code == 403, "the chain has the entries of all projects"
    consumer = await world.ask(keys["user"], "GET", STATEMENT)
    assert consumer.status_code == 403, "books tell of every key's requests"


async def test_a_correction_counts_and_stands_in_statement_and_trail(world):
    keys, who = await books(world)
    world.parts.tenancy.ledger.ingest([used(7, who, world.clock.unix_us())])
    body = {"charge": 25, "reason": "a second look", "key": who["key"], "period": "2023-10"}
    made = await world.ask(world.operator, "POST", CORRECTIONS, json=body)
    assert made.status_code == 201
    assert (made.json()["charge"], made.json()["refers"]) == (25, "2023-10")
    world.clock.advance(1)  # until now is not including now
    (row,) = (await world.ask(keys["user"], "GET", "/api/v1/usage")).json()["items"]
    assert (row["requests"], row["charge"], row["overrun"]) == (4, 25, 0)
    told = (await world.ask(keys["auditor"], "GET", STATEMENT)).json()
    assert (told["corrections"], told["totals"]["charge"]) == (25, 25)
    trail = (await world.ask(keys["admin"], "GET", "/api/v1/audit")).json()["items"]
    assert trail[0]["action"] == "ledger.correct"
    assert trail[0]["after"]["reason"] == "a second look"
    refused = await world.ask(
        world.operator, "POST", CORRECTIONS, json={"charge": 1, "reason": "x", "request": "never"}
    )
    assert refused.status_code == 404
    assert (await world.ask(keys["admin"], "POST", CORRECTIONS, json=body)).status_code == 403


async def test_a_changed_row_is_named_and_only_to_its_owner_and_operators(world):
    keys, _ = await books(world)
    fine = (await world.ask(keys["auditor"], "GET", "/api/v1/usage/verify")).json()
    assert (fine["intact"], fine["items"][0]["links"]) == (True, 1)
    world.tamper("UPDATE usage SET charge = 1 WHERE request_id LIKE '%-1'")
    found = (await world.ask(keys["auditor"], "GET", "/api/v1/usage/verify")).json()
    assert (found["intact"], found["items"][0]["broken"]) == (False, 1)
    every = "/api/v1/usage/verify?organisation=*"
    assert (await world.ask(world.operator, "GET", every)).json()["intact"] is False
    assert (await world.ask(keys["admin"], "GET", every)).status_code == 403


async def test_a_changed_audit_row_is_named(world):
    keys, _ = await books(world)
    url = "/api/v1/audit/verify"
    assert (await world.ask(keys["admin"], "GET", url)).json()["intact"]
    world.tamper("UPDATE audit SET actor = 'nobody' WHERE action = 'key.create' AND sequence = 3")
    (chain,) = (await world.ask(keys["admin"], "GET", url)).json()["items"]
    assert (chain["broken"], chain["links"], chain["why"]) == (3, 2, "the row was changed")
    assert (await world.ask(keys["user"], "GET", url)).status_code == 403


async def test_drift_is_told_and_mended(world):
    await books(world)
    none = (await world.ask(world.operator, "GET", "/api/v1/usage/drift")).json()
    assert none == {"groups": 0, "items": []}
    world.tamper("UPDATE usage_hours SET rows = rows + 1")
    found = (await world.ask(world.operator, "GET", "/api/v1/usage/drift")).json()
    assert (found["groups"], found["items"][0]["rows"]) == (1, 1)
    mended = await world.ask(world.operator, "POST", "/api/v1/usage/rebuild")
    assert mended.json() == found
    assert (await world.ask(world.operator, "GET", "/api/v1/usage/drift")).json() == none


async def test_closed_months_are_dropped_and_their_sums_stay(world):
    keys, _ = await books(world)
    drop = {"json": {"before": "2023-12"}}
    assert (
        await world.ask(world.operator, "POST", "/api/v1/usage/drop", **drop)
    ).status_code == 422
    world.clock.advance(60 * 86_400)
    done = await world.ask(world.operator, "POST", "/api/v1/usage/drop", **drop)
    assert [d["entries"] for d in done.json()["items"]] == [3]
    refused = await world.ask(keys["auditor"], "GET", STATEMENT)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
    params = {"since": "2023-11-01T00:00:00Z", "until": "2023-12-01T00:00:00Z", "by": "day"}
    (row,) = (await world.ask(keys["user"], "GET", "/api/v1/usage", params=params)).json()["items"]
    assert (row["group"], row["requests"]) == ({"day": "2023-11-14"}, 3)
    verified = (await world.ask(keys["auditor"], "GET", "/api/v1/usage/verify")).json()
    assert (verified["intact"], verified["items"][0]["anchor"]) == (True, 1)
