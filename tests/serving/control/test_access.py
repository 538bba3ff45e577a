"""Deny by default: every route has a guard, and a generated matrix of routes and callers.

nobody, wrong key → 401      role without the right → 403      other organisation → 404
"""

from dataclasses import dataclass, field

import pytest
from fastapi import Depends, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from plaza_core.keys import issue
from plaza_core.principal import RIGHTS, Role
from plaza_serving.control.guard import (
    NODE_ONLY,
    PUBLIC,
    Needs,
    NodeOnly,
    check_all_guarded,
    guards,
)


@dataclass(frozen=True)
class Try:
    """How one route is called on something of `acme`'s.

    `path` has `{upload}`, `{key}` filled in; `whose` names the organisation in the query where the
    path does not; `right` is what the route must declare; `operators` when only they may.
    """

    right: str | None
    path: str = ""
    more: dict = field(default_factory=dict)
    whose: bool = False
    operators: bool = False


ORG = "/api/v1/organisations/acme"
MODEL = "/api/v1/models/acme.main.private"
UPLOAD = "/api/v1/uploads/{upload}"

TRIES = {
    "GET /api/v1/whoami": Try(None),
    "GET /api/v1/organisations": Try("tenants.read"),
    "POST /api/v1/organisations": Try(
        "tenants.write", more={"json": {"name": "new"}}, operators=True
    ),
    "GET /api/v1/organisations/{org}": Try("tenants.read", ORG),
    "PATCH /api/v1/organisations/{org}": Try("tenants.write", ORG, {"json": {}}, operators=True),
    "GET /api/v1/organisations/{org}/projects": Try("tenants.read", f"{ORG}/projects"),
    "POST /api/v1/organisations/{org}/projects": Try(
        "tenants.write", f"{ORG}/projects", {"json": {"name": "more"}}
    ),
    "GET /api/v1/organisations/{org}/keys": Try("keys.read", f"{ORG}/keys"),
    "POST /api/v1/organisations/{org}/keys": Try(
        "keys.write", f"{ORG}/keys", {"json": {"role": "consumer"}}
    ),
    "DELETE /api/v1/organisations/{org}/keys/{key}": Try("keys.write", f"{ORG}/keys/{{key}}"),
    "POST /api/v1/uploads": Try("models.write", whose=True),
    "PUT /api/v1/uploads/{upload}/files/{path}": Try(
        "models.write", f"{UPLOAD}/files/a.txt", {"content": b"x"}
    ),
    "POST /api/v1/uploads/{upload}/commit": Try(
        "models.write", f"{UPLOAD}/commit", {"json": {"project": "main"}}
    ),
    "DELETE /api/v1/uploads/{upload}": Try("models.write", UPLOAD),
    "GET /api/v1/models": Try("models.read", whose=True),
    "GET /api/v1/models/{name}": Try("models.read", MODEL),
    "GET /api/v1/models/{name}/versions": Try("models.read", f"{MODEL}/versions"),
    "PUT /api/v1/models/{name}/aliases/{alias}": Try(
        "models.write", f"{MODEL}/aliases/champion", {"json": {"version": 1}}
    ),
    "GET /api/v1/usage": Try("usage.read", whose=True),
    "GET /api/v1/audit": Try("audit.read", whose=True),
    "GET /api/v1/usage/verify": Try("usage.read", whose=True),
    "GET /api/v1/audit/verify": Try("audit.read", whose=True),
    "GET /api/v1/organisations/{org}/statements/{period}": Try(
        "usage.read", f"{ORG}/statements/2026-11"
    ),
    "POST /api/v1/organisations/{org}/corrections": Try(
        "tenants.write",
        f"{ORG}/corrections",
        {"json": {"charge": -1, "reason": "a test"}},
        operators=True,
    ),
    "GET /api/v1/usage/drift": Try("tenants.read", operators=True),
    "POST /api/v1/usage/rebuild": Try("tenants.write", operators=True),
    "POST /api/v1/usage/drop": Try(
        "tenants.write", more={"json": {"before": "2020-01"}}, operators=True
    ),
    "GET /api/v1/status": Try("tenants.read", operators=True),
}


def routes(app):
    for route in iter_route_contexts(app.routes):
        if route.path not in PUBLIC:
            for method in route.methods:
                yield f"{method} {route.path_format.replace(':path', '')}", route


def test_every_route_has_exactly_the_guard_written_here(world):
    found = {}
    for name, route in routes(world.app):
        (guard,) = guards(route)
        if isinstance(guard, NodeOnly):
            assert route.path.startswith("/internal/v1/")
        else:
            found[name] = guard.right
    assert found == {name: TRIES[name].right for name in TRIES}


def test_the_public_list_is_short(world):
    public = {r.path for r in iter_route_contexts(world.app.routes)} & PUBLIC
    assert public == {"/healthz", "/readyz", "/openapi.json"}


def unguarded():
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.get("/forgotten")(lambda: None)
    return app


def with_mount():
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.mount("/console", Mount("/", routes=[Route("/", PlainTextResponse("hello"))]))
    return app


def with_two_guards():
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    both = [NODE_ONLY, Depends(Needs(None, operator=False))]
    app.get("/both", dependencies=both)(lambda: None)
    return app


def with_docs():
    return FastAPI()


def with_socket():
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.websocket("/socket")
    async def socket(websocket):
        await websocket.accept()

    return app


@pytest.mark.parametrize("make", [unguarded, with_mount, with_two_guards, with_docs, with_socket])
def test_an_application_with_a_hole_does_not_start(make):
    with pytest.raises(RuntimeError, match="guard"):
        check_all_guarded(make())


class Callers:
    """Keys of every kind: `acme` has one per role, `globex` an admin."""

    def __init__(self, world, acme, globex):
        self.world = world
        self.acme = acme
        self.stranger = globex["admin"]
        self._upload = None
        self.wrong = issue(b"another pepper", lambda n: bytes(range(n))).text

    async def call(self, name, key, *, acting=False):
        """Status of route `name` called with `key` on a fresh target of `acme`'s.

        `acting` names the organisation in the query, as operators do who act for another.
        """
        attempt = TRIES[name]
        method, template = name.split(" ")
        path = attempt.path or template
        async with self.world.client(key) as client:
            if "{upload}" in path:
                path = path.replace("{upload}", await self.upload_for(key))
            if "{key}" in path:
                path = path.replace("{key}", await self.victim())
            query = {"organisation": "acme"} if attempt.whose or acting else {}
            answer = await client.request(method, path, params=query, **attempt.more)
        if answer.status_code >= 400:
            assert set(answer.json()) == {"error", "code", "input", "request_id"}, (
                "a refusal carries nothing else"
            )
        return answer.status_code

    async def upload_for(self, key):
        """An upload of the caller's where it may have one in `acme`, else of an engineer there."""
        begun = await self.world.ask(key, "POST", "/api/v1/uploads?organisation=acme")
        return begun.json()["upload"] if begun.status_code == 201 else await self.engineers_upload()

    async def engineers_upload(self):
        if self._upload is None:
            begun = await self.world.ask(self.acme["engineer"], "POST", "/api/v1/uploads")
            self._upload = begun.json()["upload"]
        return self._upload

    async def victim(self):
        url = "/api/v1/organisations/acme/keys"
        made = await self.world.ask(self.acme["admin"], "POST", url, json={"role": "consumer"})
        return made.json()["id"]


@pytest.fixture
async def callers(world, make_bundle):
    acme = await world.organisation("acme", **{r.value: {"role": r.value} for r in Role})
    made = await world.register(acme["engineer"], make_bundle("private"))
    assert made.status_code == 200, made.text
    return Callers(world, acme, await world.organisation("globex", admin={"role": "admin"}))


async def test_without_a_valid_key_nothing_answers(callers):
    for name in TRIES:
        for key in (None, callers.wrong, "nonsense"):
            assert await callers.call(name, key) == 401, (name, key)


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_gets_what_its_rights_say_and_no_more(callers, role):
    answers = {name: await callers.call(name, callers.acme[role]) for name in TRIES}
    for name, attempt in TRIES.items():
        entitled = attempt.right is None or attempt.right in RIGHTS[role]
        if attempt.operators or not entitled:
            assert answers[name] == 403, name
        elif name.endswith("/commit"):
            assert answers[name] == 422, "an empty bundle, but the caller's own"
        else:
            assert 200 <= answers[name] < 300, (name, answers[name])


async def test_for_an_admin_of_another_organisation_none_of_it_exists(callers):
    for name, attempt in TRIES.items():
        about_acme = attempt.path or attempt.whose
        status = await callers.call(name, callers.stranger)
        if about_acme:
            assert status == 404, name
        else:
            assert status == (403 if attempt.operators else 200), name


async def test_an_operator_may_do_all_of_it(callers):
    for name in TRIES:
        status = await callers.call(name, callers.world.operator, acting=True)
        assert status == 422 if name.endswith("/commit") else 200 <= status < 300, (name, status)


async def test_the_node_token_opens_no_admin_route(callers):
    for name in TRIES:
        assert await callers.call(name, callers.world.parts.node_token) == 401, name


@pytest.mark.parametrize(
    "path",
    [
        "//api/v1/whoami",
        "/api/v1//whoami",
        "/api/v1/whoami;x",
        "/API/v1/whoami",
        "/healthz/../api/v1/whoami",
        "/healthz%2f..%2fapi/v1/whoami",
        "/%2e%2e/api/v1/whoami",
        "/api/v1/whoami%00",
        "/readyz/api/v1/whoami",
    ],
)
async def test_no_spelling_of_a_path_gets_in_without_a_key(world, path):
    for host in ("control.test", "a/?x=", "x/healthz?"):
        async with world.client(None, host=host) as client:
            answer = await client.get(f"http://control.test{path}")
        assert answer.status_code in {401, 404}
