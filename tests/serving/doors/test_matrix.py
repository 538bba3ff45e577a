"""Every route of the inference door, asked by its owner and by all who have no business with it.

another project, another organisation, a revoked key, no key

Through the real data plane, on a table with the models of one project. What somebody may not see is
answered like a model that never was. A route without a row here fails the test.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from plaza_core.principal import Role
from plaza_core.settings import Settings
from plaza_serving.dataplane.repository import FollowedRepository
from plaza_serving.doors.http import HttpDoor
from tests.client.test_real_door import FAMILIES, PNG, Parrot
from tests.serving.dataplane.world import (
    PlaneKit,
    make_key,
    make_manifest,
    make_model,
    make_table,
)

TENSORS = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
NAME = "orchid.orchid-lab."
WHO = ["owner", "project", "stranger", "revoked", "none"]


@dataclass(frozen=True)
class Row:
    """How the route is asked for `model`, and whether everybody, key holders or the owner of the
    model alone get an answer."""

    path: str
    model: str | None = None
    document: dict | None = None
    body: bytes = b""
    headers: dict = field(default_factory=dict)
    query: str = ""
    public: bool = False
    alone: bool = False
    """Whether it is about the only model that the caller may use, so that without one it fails."""

    def expected(self, who):
        if self.public:
            return 200
        if who in {"revoked", "none"}:
            return 401
        if self.alone and who != "owner":
            return 422
        return 200 if who == "owner" or self.model is None else 404


def task(path, family, **document):
    return Row(path, family.replace(".", "-"), document)


def of_model(verb, family, **document):
    return Row(f"/tei/{{model}}{verb}", family.replace(".", "-"), document)


MODEL = "/v2/models/{model}"
VERSIONED = f"{MODEL}/versions/1"
MATRIX = {
    "GET /v2/health/live": Row("/v2/health/live", public=True),
    "GET /v2/health/ready": Row("/v2/health/ready", public=True),
    "GET /openapi.json": Row("/openapi.json", public=True),
    "GET /docs": Row("/docs", public=True),
    "GET /v2": Row("/v2"),
    "GET /v2/": Row("/v2/"),
    "GET /v2/models/{model}": Row(MODEL, "petal"),
    "GET /v2/models/{model}/ready": Row(f"{MODEL}/ready", "petal"),
    "POST /v2/models/{model}/infer": Row(f"{MODEL}/infer", "petal", TENSORS),
    "GET /v2/models/{model}/versions/{version}": Row(VERSIONED, "petal"),
    "GET /v2/models/{model}/versions/{version}/ready": Row(f"{VERSIONED}/ready", "petal"),
    "POST /v2/models/{model}/versions/{version}/infer": Row(f"{VERSIONED}/infer", "petal", TENSORS),
    "POST /v2/repository/index": Row("/v2/repository/index"),
    **{
        f"POST /v2/repository/models/{{model}}{version}/{verb}": Row(
            f"/v2/repository/models/{{model}}{number}/{verb}", "petal"
        )
        for version, number in (("", ""), ("/versions/{version}", "/versions/1"))
        for verb in ("load", "unload")
    },
    "GET /v1/models": Row("/v1/models"),
    "POST /v1/vision/detect": Row(
        "/v1/vision/detect",
        "vision-detect",
        body=PNG,
        headers={"content-type": "image/png"},
        query="model={model}",
    ),
    "POST /v1/vision/count": task("/v1/vision/count", "vision.detect", images=["iVBORw=="], fps=5),
    "POST /v1/forecast": task("/v1/forecast", "forecast.quantile", values=[1, 2], horizon=1),
    "POST /v1/anomaly/score": task("/v1/anomaly/score", "forecast.quantile", values=[1] * 5),
    "POST /v1/warning/level": task(
        "/v1/warning/level",
        "forecast.quantile",
        values=[1] * 4,
        levels=[{"name": "watch", "threshold": 5}],
    ),
    "POST /v1/text/classify": task("/v1/text/classify", "text.classify", input=["a"]),
    "POST /v1/embeddings": task("/v1/embeddings", "text.embed", input=["a"]),
    "GET /v1/models/{model}": Row("/v1/models/{model}", "petal"),
    "GET /v2/models/stats": Row("/v2/models/stats"),
    **{
        f"GET {MODEL}{version}/{what}": Row(f"{MODEL}{number}/{what}", "petal")
        for version, number in (("", ""), ("/versions/{version}", "/versions/1"))
        for what in ("config", "stats")
    },
    "GET /health": Row("/health", public=True),
    "GET /info": Row("/info", alone=True),
    **{
        f"GET /tei/{{model}}/{what}": Row(f"/tei/{{model}}/{what}", "text-embed")
        for what in ("health", "info")
    },
    "POST /tei/{model}": of_model("", "text.embed", inputs="a"),
    **{
        f"POST {head}/{verb}": row
        for verb, family, document in (
            ("embed", "text.embed", {"inputs": "a"}),
            (
                "similarity",
                "text.embed",
                {"inputs": {"source_sentence": "a", "sentences": ["b"]}},
            ),
            ("rerank", "text.embed", {"query": "a", "texts": ["b"]}),
            ("predict", "text.classify", {"inputs": "a"}),
        )
        for head, row in (
            ("", task(f"/{verb}", family, **document)),
            ("/tei/{model}", of_model(f"/{verb}", family, **document)),
        )
    },
    "GET /v1/timeseries/models": Row("/v1/timeseries/models"),
    "POST /v1/timeseries/forecast": task(
        "/v1/timeseries/forecast",
        "forecast.quantile",
        inputs=[
            {
                "type": "univariate_time_series",
                "name": "a",
                "series": [1, 2],
                "frequency": "H",
            }
        ],
        options={"horizon": 1},
    ),
}


class Willing:
    """Control that allows everybody everything: who is refused was refused on the replica."""

    async def mark(self, verb, model, version, authorization):
        """Nothing else changes here."""


@pytest.fixture
async def callers(new_client):
    """Clients by kind, of a hub whose models are all in one project of `orchid`."""
    kit = PlaneKit()
    kit.family = Parrot()
    lab = {"organisation": "orchid", "project": "orchid-lab"}
    names = {family: family.replace(".", "-") for family in FAMILIES}
    models = [
        make_model(name, manifest=make_manifest(name, family=family), **lab)
        for family, name in names.items()
    ]
    models.append(make_model("petal", **lab))
    made = {
        "owner": make_key(**lab, role=Role.ENGINEER),
        "project": make_key("orchid", "orchid-side", role=Role.ENGINEER),
        "stranger": make_key("globex", None, role=Role.ENGINEER),
        "revoked": make_key(**lab, role=Role.ENGINEER),
    }
    in_table = [entry for who, (entry, _) in made.items() if who != "revoked"]
    await kit.serve(make_table(models, in_table))
    shelf = FollowedRepository(lambda: kit.plane.catalogue, kit.host, Willing(), kit.clock)
    door = HttpDoor(kit.plane, Settings(), repository=shelf)
    yield {
        who: new_client(door, made[who][1].removeprefix("Bearer ") if who in made else None)
        for who in WHO
    }
    await kit.plane.close()


async def ask(client, name, model):
    row = MATRIX[name]
    body = row.body
    headers = dict(row.headers)
    if row.document is not None:
        named = {} if "{model}" in row.path else {"model": model}
        body = json.dumps(row.document | named).encode()
        headers["content-type"] = "application/json"
    path = row.path.replace("{model}", model)
    query = row.query.replace("{model}", model)
    return await client.send(name.split(" ")[0], path, body, headers=headers, query=query)


async def test_every_route_has_its_row(callers):
    routes = callers["owner"].door.router.routes
    assert {f"{r.method} {r.template}" for r in routes} == set(MATRIX)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("name", MATRIX)
async def test_each_is_answered_as_the_matrix_says_and_hears_of_nothing_foreign(callers, name, who):
    row = MATRIX[name]
    answer = await ask(callers[who], name, NAME + (row.model or ""))
    assert answer.status == row.expected(who), answer.body
    if who == "owner":
        return
    said = answer.body.decode() + str(answer.headers)
    assert not [thing for thing in ("orchid", "petal", "mdl_", "prj_", "org_") if thing in said]
    if answer.status == 404:
        absent = await ask(callers[who], name, NAME + "no-such-one")
        assert answer.json() | {"request_id": ""} == absent.json() | {"request_id": ""}


async def test_the_owner_sees_what_the_others_were_denied(callers):
    listed = await ask(callers["owner"], "GET /v1/models", "")
    assert len(listed.json()["data"]) == 5
    (petal, *_) = (await ask(callers["owner"], "POST /v2/repository/index", "")).json()
    assert petal["state"] == "READY"
    for other in ("project", "stranger"):
        assert (await ask(callers[other], "POST /v2/repository/index", "")).json() == []
        assert (await ask(callers[other], "GET /v1/models", "")).json()["data"] == []
