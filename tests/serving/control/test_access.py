"""Deny by default: every route has a guard, and a generated matrix of routes and callers.

nobody, wrong key → 401      role without the right → 403      other organisation → 404
"""

import pytest
from fastapi import Depends, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from plaza_core.budget import LeaseAsk
from plaza_core.keys import issue
from plaza_core.principal import RIGHTS, Right, Role
from plaza_serving.control.guard import (
    NODE_ONLY,
    PUBLIC,
    Needs,
    NodeOnly,
    SessionOnly,
    check_all_guarded,
    guards,
)
from tests.serving.control.tries import MODEL, TRIES_OF_MODELS, Prepared, Try

ORG = "/api/v1/organisations/acme"
UPLOAD = "/api/v1/uploads/{upload}"
ALERT = f"{ORG}/alerts/{{webhook}}"

TERMS = {"json": {"limit": 5}}
STEP = {"json": {"by": 5}}
RATE = {"json": {"rate": {"per_second": 5, "burst": 5}}}
DAYS = {"json": {"windows": []}}
MEMBERS = {"json": {"limit": 50}}


def tries_of_budgets():
    """The routes of a node's limits; only operators may change those of an organisation."""
    for kind, at in (("", ""), ("/projects/{project}", "/projects/main"), ("/keys/{key}",) * 2):
        route, path, own = f"/api/v1/organisations/{{org}}{kind}", f"{ORG}{at}", not kind
        yield f"GET {route}/budget", Try("usage.read", f"{path}/budget")
        changes = (
            ("PUT", "", TERMS),
            ("PATCH", "", STEP),
            ("PUT", "/calendar", DAYS),
            ("DELETE", "", {}),
        )
        for method, part, more in changes:
            attempt = Try("tenants.write", f"{path}/budget{part}", more, operators=own)
            yield f"{method} {route}/budget{part}", attempt
        attempt = Try("tenants.write", f"{path}/concurrency", TERMS, operators=own)
        yield f"PUT {route}/concurrency", attempt
        attempt = Try("tenants.write", f"{path}/rate", RATE, operators=own)
        yield f"PUT {route}/rate", attempt
        if "key" not in kind:
            attempt = Try("tenants.write", f"{path}/holdings/members", MEMBERS, operators=own)
            yield f"PUT {route}/holdings/{{what}}", attempt


TRIES_OF_BUDGETS = {
    **dict(tries_of_budgets()),
    "GET /api/v1/organisations/{org}/budgets": Try("usage.read", f"{ORG}/budgets"),
    "GET /api/v1/organisations/{org}/limits": Try("tenants.read", f"{ORG}/limits"),
    "GET /api/v1/leases": Try("tenants.read", operators=True),
    "POST /api/v1/leases/{lease}/write-off": Try("tenants.write", operators=True),
    "GET /api/v1/organisations/{org}/estimate": Try(
        "usage.read", f"{ORG}/estimate", query={"model": "acme.main.private", "device_us": 5}
    ),
    "PUT /api/v1/organisations/{org}/keys/{key}/priority": Try(
        "tenants.write", f"{ORG}/keys/{{key}}/priority", {"json": {"priority": 1}}
    ),
    "GET /api/v1/prices": Try("usage.read"),
    "PUT /api/v1/prices": Try("tenants.write", more={"json": {"weight": 2}}, operators=True),
    "DELETE /api/v1/prices": Try("tenants.write", operators=True),
    "GET /api/v1/shares": Try("tenants.read"),
    "PUT /api/v1/shares": Try(
        "tenants.write", more={"json": {"organisation": "acme", "weight": 2}}, operators=True
    ),
}

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
    "POST /api/v1/organisations/{org}/keys/{key}/rotate": Try(
        "keys.write", f"{ORG}/keys/{{key}}/rotate", {"json": {}}
    ),
    "PUT /api/v1/organisations/{org}/keys/{key}/expiry": Try(
        "keys.write", f"{ORG}/keys/{{key}}/expiry", {"json": {"never": True}}
    ),
    "GET /api/v1/organisations/{org}/members": Try("members.read", f"{ORG}/members"),
    "POST /api/v1/organisations/{org}/members": Try(
        "members.write", f"{ORG}/members", {"json": {"email": "{new}", "role": "consumer"}}
    ),
    "PATCH /api/v1/organisations/{org}/members/{member}": Try(
        "members.write", f"{ORG}/members/{{member}}", {"json": {"role": "auditor"}}
    ),
    "DELETE /api/v1/organisations/{org}/members/{member}": Try(
        "members.write", f"{ORG}/members/{{member}}"
    ),
    **TRIES_OF_BUDGETS,
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
    "GET /api/v1/models/{name}/versions/{version}/card": Try(
        "models.read", f"{MODEL}/versions/1/card"
    ),
    "PUT /api/v1/models/{name}/versions/{version}/card": Try(
        "models.write", f"{MODEL}/versions/1/card", {"json": {"text": "# New"}}
    ),
    "PUT /api/v1/models/{name}/aliases/{alias}": Try(
        "models.write", f"{MODEL}/aliases/champion", {"json": {"version": 1}}
    ),
    **TRIES_OF_MODELS,
    "POST /api/v1/imports": Try(
        "models.write",
        more={"json": {"source": "models:/private/1", "project": "main"}},
        whose=True,
    ),
    "GET /api/v1/proposals": Try("models.read", whose=True),
    **{
        f"POST /api/v1/proposals/{{proposal}}/{verdict}": Try(
            "models.write", f"/api/v1/proposals/{{proposal}}/{verdict}"
        )
        for verdict in ("accept", "reject")
    },
    "GET /api/v1/usage": Try("usage.read", whose=True),
    "GET /api/v1/audit": Try("audit.read", whose=True),
    "GET /api/v1/usage/verify": Try("audit.read", whose=True),
    "GET /api/v1/audit/verify": Try("audit.read", whose=True),
    "GET /api/v1/organisations/{org}/statements/{period}": Try(
        "audit.read", f"{ORG}/statements/2026-11"
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
    "GET /api/v1/organisations/{org}/alerts": Try("tenants.read", f"{ORG}/alerts"),
    "POST /api/v1/organisations/{org}/alerts": Try(
        "tenants.write", f"{ORG}/alerts", {"json": {"url": "https://hooks.example.org/"}}
    ),
    "DELETE /api/v1/organisations/{org}/alerts/{webhook}": Try("tenants.write", ALERT),
    "POST /api/v1/organisations/{org}/alerts/{webhook}/rotate": Try(
        "tenants.write", f"{ALERT}/rotate"
    ),
    "POST /api/v1/organisations/{org}/alerts/{webhook}/enable": Try(
        "tenants.write", f"{ALERT}/enable"
    ),
    "POST /api/v1/organisations/{org}/alerts/{webhook}/test": Try("tenants.write", f"{ALERT}/test"),
    "GET /api/v1/organisations/{org}/alerts/{webhook}/deliveries": Try(
        "tenants.read", f"{ALERT}/deliveries"
    ),
    "GET /api/v1/alert-hosts": Try("tenants.write", operators=True),
    "POST /api/v1/alert-hosts": Try(
        "tenants.write", more={"json": {"pattern": "other.example.org"}}, operators=True
    ),
    "DELETE /api/v1/alert-hosts/{pattern}": Try("tenants.write", operators=True),
}

UNFIT = {"POST /api/v1/uploads/{upload}/commit": 422, "POST /api/v1/imports": 503}
"""An empty bundle, though the caller's own; and this hub has no MLflow to import from."""


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
        elif isinstance(guard, SessionOnly):
            assert route.path.startswith("/auth/")
        else:
            found[name] = guard.right
    assert found == {name: TRIES[name].right for name in TRIES}


def test_the_public_list_is_short(world):
    public = {r.path for r in iter_route_contexts(world.app.routes)} & PUBLIC
    login = {"/auth/login", "/auth/callback", "/auth/cli", "/auth/cli/redeem"}
    assert public == {"/healthz", "/readyz", "/openapi.json"} | login


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


def proposal_of(world, tenancy, scope):
    """The id of what somebody has just proposed in MLflow for the one model of `scope`."""
    (there,) = world.tracker.models.values()
    name = tenancy.records.visible(scope)[0].name
    there.aliases.pop("by-hand", None)
    if "by-hand" in tenancy.records.get(scope, name).aliases:
        tenancy.aliases.remove(scope, name, "by-hand")
    world.parts.registrar.mirror.drain()
    there.aliases["by-hand"] = 1
    world.parts.registrar.mirror.poll()
    return tenancy.proposals.list(scope)[0].id


class Callers:
    """Keys of every kind: `acme` has one per role, `globex` an admin."""

    def __init__(self, world, acme, globex):
        self.world = world
        self.acme = acme
        self.stranger = globex["admin"]
        self._upload = None
        self._people = 0
        self.tenancy = world.parts.tenancy
        operator = self.tenancy.authenticate(world.operator)
        self.scope = self.tenancy.scope(operator, Right.TENANTS_WRITE, organisation="acme")
        platform = self.tenancy.platform(operator, Right.TENANTS_WRITE)
        for host in ("hooks.example.org", "old.example.org"):
            self.tenancy.hosts.allow(platform, host)
        self.prepared = Prepared(self.tenancy, acme["admin"])
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
            path = path.replace("{pattern}", "old.example.org")
            path = self.prepared.fill(path)
            if "{webhook}" in path:
                path = path.replace("{webhook}", await self.target())
            if "{lease}" in path:
                path = path.replace("{lease}", await self.lease())
            if "{proposal}" in path:
                path = path.replace("{proposal}", proposal_of(self.world, self.tenancy, self.scope))
            if "{key}" in path:
                path = path.replace("{key}", await self.victim())
            if "{member}" in path:
                path = path.replace("{member}", await self.friend())
            query = {"organisation": "acme"} if attempt.whose or acting else {}
            more = attempt.more
            if more.get("json", {}).get("email") == "{new}":
                more = {"json": more["json"] | {"email": self.address()}}
            query |= attempt.query
            answer = await client.request(method, path, params=query, **more)
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

    def address(self):
        self._people += 1
        return f"friend{self._people}@acme.test"

    async def friend(self):
        url = "/api/v1/organisations/acme/members"
        body = {"role": "consumer", "email": self.address()}
        made = await self.world.ask(self.acme["admin"], "POST", url, json=body)
        return made.json()["id"]

    async def target(self):
        """A target of `acme`'s alerts, a new one each time."""
        for webhook in self.tenancy.webhooks.list(self.scope):
            self.tenancy.webhooks.remove(self.scope, webhook.id)
        hosts = self.tenancy.hosts.patterns()
        url = "https://hooks.example.org/in"
        return self.tenancy.webhooks.add(self.scope, url, hosts).webhook.id

    async def lease(self):
        (grant,) = self.tenancy.leases.exchange("r9", [LeaseAsk(key=await self.victim(), need=1)])
        return grant.lease

    async def victim(self):
        url = "/api/v1/organisations/acme/keys"
        made = await self.world.ask(self.acme["admin"], "POST", url, json={"role": "consumer"})
        key = made.json()["id"]
        await self.world.ask(self.acme["admin"], "PUT", f"{url}/{key}/budget", **TERMS)
        return key


@pytest.fixture
async def callers(world, make_bundle):
    acme = await world.organisation("acme", **{r.value: {"role": r.value} for r in Role})
    for _ in range(3):
        made = await world.register(acme["engineer"], make_bundle("private"))
        assert made.status_code == 200, made.text
    for at in ("", "/projects/main"):
        set_ = await world.ask(world.operator, "PUT", f"{ORG}{at}/budget", **TERMS)
        assert set_.status_code == 200, set_.text
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
        elif name in UNFIT:
            assert answers[name] == UNFIT[name], name
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
        assert status == UNFIT.get(name, status), name
        assert name in UNFIT or 200 <= status < 300, (name, status)


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
