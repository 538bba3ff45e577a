"""Every route of control × {owner, another project's key, another organisation's, revoked, none}.

Each route is tried on real objects of one project. Who has no business with them gets the very
answer that something which never existed would get, and no answer ever holds an id or a name of
theirs. A route without a row here fails the test: a new one states what it shows to whom.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from fastapi.routing import iter_route_contexts

from plaza_core.inference import UsageRecord
from plaza_core.usage_wire import to_line

ORG = "/api/v1/organisations/orchid"
MODEL = "/api/v1/models/orchid.orchid-lab.petal"
UPLOAD = "/api/v1/uploads/{upload}"
ABSENT = {
    "orchid-lab": "no-such-one",
    "petal": "no-such-one",
    "{key}": "0" * 17,
    "{member}": "mbr_" + "0" * 17,
    "{upload}": "up_" + "0" * 17,
    "{proposal}": "prp_" + "0" * 17,
    "{sha256}": "0" * 64,
}
"""By what a request names the objects, and the same request about nothing."""


@dataclass(frozen=True)
class Row:
    """What the three who have a valid key are answered; without one it is 401 unless `public`.

    `project` is an admin key of another project of the same organisation, `stranger` an admin key
    of another organisation.
    """

    owner: int
    project: int
    stranger: int
    path: str
    more: dict = field(default_factory=dict)
    public: bool = False


def own(path, status=200, **more):
    """Something of the project's: it does not exist for anybody else."""
    return Row(status, 404, 404, path, more)


def everybodys(path, status=200, **more):
    """Answered to all who have a key; what it shows is of the caller's own."""
    return Row(status, status, status, path, more)


def public(path, status=200):
    return Row(status, status, status, path, public=True)


def never(path, **more):
    """Takes no key at all."""
    return Row(401, 401, 401, path, more)


def of_budgets(route, at, changed, project):
    """The rows of one kind of node. `changed`: what its owner is answered to setting, changing and
    removing a budget, and to limiting concurrency."""
    route, path = f"/api/v1/organisations/{{org}}{route}", f"{ORG}{at}"
    yield f"GET {route}/budget", Row(404, 404, 404, f"{path}/budget")
    changes = (
        ("PUT", "budget", {"json": {"limit": 5}}),
        ("PATCH", "budget", {"json": {"by": 5}}),
        ("DELETE", "budget", {}),
        ("PUT", "concurrency", {"json": {"limit": 5}}),
    )
    for (method, what, more), status in zip(changes, changed, strict=True):
        yield f"{method} {route}/{what}", Row(status, project, 404, f"{path}/{what}", more)
    rate = {"json": {"rate": {"per_second": 5, "burst": 5}}}
    # There is no budget by then: an operator's own refusal comes first.
    none = 404 if changed[0] == 200 else changed[0]
    days = {"json": {"windows": []}}
    yield f"PUT {route}/rate", Row(changed[3], project, 404, f"{path}/rate", rate)
    calendar = f"{path}/budget/calendar"
    yield f"PUT {route}/budget/calendar", Row(none, project, 404, calendar, days)
    if "key" not in at:
        keys, most = f"{path}/holdings/keys", {"json": {"limit": 50}}
        yield f"PUT {route}/holdings/{{what}}", Row(changed[3], project, 404, keys, most)


ROLLOUT = f"/api/v1/rollouts/rol_{'0' * 17}"
REQUEST = f"/api/v1/catalogue/requests/pub_{'0' * 17}"
HOOK = f"{ORG}/alerts/whk_{'0' * 17}"
CLI = "port=5000&challenge=" + "c" * 43
LAB = {"project": "orchid-lab"}
MATRIX = {
    "GET /healthz": public("/healthz"),
    "GET /readyz": public("/readyz"),
    "GET /openapi.json": public("/openapi.json"),
    "HEAD /openapi.json": public("/openapi.json"),
    "GET /auth/login": public("/auth/login", 404),
    "GET /auth/callback": public("/auth/callback", 404),
    "GET /auth/cli": public(f"/auth/cli?{CLI}", 404),
    "GET /auth/cli/confirm": never(f"/auth/cli/confirm?{CLI}"),
    "POST /auth/cli/confirm": never(f"/auth/cli/confirm?{CLI}"),
    "POST /auth/cli/redeem": Row(
        404,
        404,
        404,
        "/auth/cli/redeem",
        {"json": {"code": "x", "verifier": "v" * 43}},
        public=True,
    ),
    "GET /auth/session": never("/auth/session"),
    "POST /auth/logout": never("/auth/logout"),
    "GET /api/v1/whoami": everybodys("/api/v1/whoami"),
    "GET /api/v1/organisations": everybodys("/api/v1/organisations"),
    "POST /api/v1/organisations": everybodys("/api/v1/organisations", 403, json={"name": "new"}),
    "GET /api/v1/organisations/{org}": Row(200, 200, 404, ORG),
    "PATCH /api/v1/organisations/{org}": Row(403, 403, 404, ORG, {"json": {}}),
    "GET /api/v1/organisations/{org}/projects": Row(200, 200, 404, f"{ORG}/projects"),
    "POST /api/v1/organisations/{org}/projects": Row(
        201, 403, 404, f"{ORG}/projects", {"json": {"name": "orchid-new"}}
    ),
    "GET /api/v1/organisations/{org}/keys": Row(200, 200, 404, f"{ORG}/keys"),
    "POST /api/v1/organisations/{org}/keys": own(
        f"{ORG}/keys", 201, json={"role": "consumer", **LAB}
    ),
    "DELETE /api/v1/organisations/{org}/keys/{key}": own(f"{ORG}/keys/{{key}}"),
    "POST /api/v1/organisations/{org}/keys/{key}/rotate": own(
        f"{ORG}/keys/{{key}}/rotate", 201, json={}
    ),
    "PUT /api/v1/organisations/{org}/keys/{key}/expiry": own(
        f"{ORG}/keys/{{key}}/expiry", json={"never": True}
    ),
    "GET /api/v1/organisations/{org}/members": Row(200, 200, 404, f"{ORG}/members"),
    "POST /api/v1/organisations/{org}/members": own(
        f"{ORG}/members", 201, json={"email": "new@orchid.test", "role": "consumer", **LAB}
    ),
    "PATCH /api/v1/organisations/{org}/members/{member}": own(
        f"{ORG}/members/{{member}}", json={"role": "consumer"}
    ),
    "DELETE /api/v1/organisations/{org}/members/{member}": own(f"{ORG}/members/{{member}}"),
    "POST /api/v1/uploads": Row(201, 201, 404, "/api/v1/uploads?organisation=orchid"),
    "PUT /api/v1/uploads/{upload}/files/{path}": own(f"{UPLOAD}/files/a.txt", content=b"x"),
    # An upload without a file becomes no version, but for its owner only.
    "POST /api/v1/uploads/{upload}/commit": own(f"{UPLOAD}/commit", 422, json=LAB),
    "DELETE /api/v1/uploads/{upload}": own(UPLOAD, 204),
    "GET /api/v1/models": Row(200, 200, 404, "/api/v1/models?organisation=orchid"),
    "GET /api/v1/models/{name}": own(MODEL),
    "GET /api/v1/models/{name}/versions": own(f"{MODEL}/versions"),
    "GET /api/v1/models/{name}/versions/{version}/card": own(f"{MODEL}/versions/1/card"),
    "GET /api/v1/models/{name}/certificates": own(f"{MODEL}/certificates"),
    "POST /api/v1/models/{name}/versions/{version}/certify": own(
        f"{MODEL}/versions/1/certify", json={"provider": "cpu"}
    ),
    "PUT /api/v1/models/{name}/versions/{version}/card": own(
        f"{MODEL}/versions/1/card", json={"text": "# New"}
    ),
    "PUT /api/v1/models/{name}/aliases/{alias}": own(
        f"{MODEL}/aliases/champion", json={"version": 1}
    ),
    **{
        f"POST /api/v1/models/{{name}}/versions/{{version}}/{verb}": own(
            f"{MODEL}/versions/1/{verb}", status, **more
        )
        for verb, status, more in (
            ("stage", 200, {}),
            ("unstage", 200, {}),
            ("retire", 409, {}),  # it serves
            ("restore", 200, {}),
            ("withdraw", 409, {"json": {}}),
            ("examine", 200, {}),
        )
    },
    "POST /api/v1/models/{name}/aliases/{alias}/rollback": own(
        f"{MODEL}/aliases/champion/rollback", 409, json={}
    ),
    "DELETE /api/v1/models/{name}/aliases/{alias}": own(f"{MODEL}/aliases/none", 404),
    "GET /api/v1/models/{name}/aliases/{alias}/history": own(f"{MODEL}/aliases/champion/history"),
    "GET /api/v1/models/{name}/diff": own(f"{MODEL}/diff?before=1&after=champion"),
    "GET /api/v1/retired": Row(200, 200, 404, "/api/v1/retired?organisation=orchid"),
    "DELETE /api/v1/retired": Row(200, 200, 404, "/api/v1/retired?organisation=orchid"),
    "GET /api/v1/rollouts": Row(200, 200, 404, "/api/v1/rollouts?organisation=orchid"),
    "GET /api/v1/rollouts/{rollout}": own(ROLLOUT, 404),
    "POST /api/v1/rollouts/{rollout}/cancel": own(f"{ROLLOUT}/cancel", 404),
    "POST /api/v1/rollouts/{rollout}/promote": own(f"{ROLLOUT}/promote", 404),
    # The catalogue: what may be called; what is asked of operators is theirs to decide.
    "GET /api/v1/catalogue": Row(200, 200, 404, "/api/v1/catalogue?organisation=orchid"),
    "GET /api/v1/catalogue/requests": Row(
        200, 200, 404, "/api/v1/catalogue/requests?organisation=orchid"
    ),
    "POST /api/v1/catalogue/requests/{request}/approve": everybodys(f"{REQUEST}/approve", 403),
    "POST /api/v1/catalogue/requests/{request}/reject": everybodys(
        f"{REQUEST}/reject", 403, json={"reason": "a test"}
    ),
    "PATCH /api/v1/models/{name}/tags": own(f"{MODEL}/tags", json={"add": ["garden"]}),
    "PUT /api/v1/models/{name}/visibility": own(
        f"{MODEL}/visibility", json={"visibility": "project"}
    ),
    "GET /api/v1/models/{name}/guests": own(f"{MODEL}/guests"),
    "POST /api/v1/models/{name}/guests": own(
        f"{MODEL}/guests", 404, json={"organisations": ["no-such-guest"]}
    ),
    "DELETE /api/v1/models/{name}/guests/{guest}": own(f"{MODEL}/guests/globex"),
    "POST /api/v1/models/{name}/publish": own(f"{MODEL}/publish", json={}),
    # There is no MLflow to import from here; who may not import hears nothing of that.
    "POST /api/v1/imports": own(
        "/api/v1/imports?organisation=orchid",
        503,
        json={"source": "models:/petal/1", "project": "orchid-lab"},
    ),
    "GET /api/v1/proposals": Row(200, 200, 404, "/api/v1/proposals?organisation=orchid"),
    **{
        f"POST /api/v1/proposals/{{proposal}}/{verdict}": own(
            f"/api/v1/proposals/{{proposal}}/{verdict}"
        )
        for verdict in ("accept", "reject")
    },
    "GET /api/v1/usage": Row(
        200,
        200,
        404,
        "/api/v1/usage?organisation=orchid&by=organisation&by=project&by=key&by=model",
    ),
    "GET /api/v1/audit": Row(200, 200, 404, "/api/v1/audit?organisation=orchid"),
    "GET /api/v1/status": everybodys("/api/v1/status", 403),
    "GET /internal/v1/table": never("/internal/v1/table"),
    "GET /internal/v1/blobs/{sha256}": never("/internal/v1/blobs/{sha256}"),
    "POST /internal/v1/heartbeats": never("/internal/v1/heartbeats", json={}),
    "POST /internal/v1/certificates": never("/internal/v1/certificates", json={}),
    "POST /internal/v1/usage": never("/internal/v1/usage", content=b""),
    "GET /internal/v1/recalls": never("/internal/v1/recalls?replica=r1&after=0&wait=0"),
    "POST /internal/v1/leases": never("/internal/v1/leases", json={}),
    **{
        f"POST /internal/v1/idempotency/{verb}": never(f"/internal/v1/idempotency/{verb}", json={})
        for verb in ("claim", "complete", "release", "renew")
    },
    # The books, and what is the organisation's as a whole.
    "GET /api/v1/organisations/{org}/statements/{period}": Row(
        200, 403, 404, f"{ORG}/statements/2023-11"
    ),
    "POST /api/v1/organisations/{org}/corrections": Row(
        403, 403, 404, f"{ORG}/corrections", {"json": {"charge": -1, "reason": "a test"}}
    ),
    "GET /api/v1/usage/verify": Row(200, 403, 404, "/api/v1/usage/verify?organisation=orchid"),
    "GET /api/v1/audit/verify": Row(200, 403, 404, "/api/v1/audit/verify?organisation=orchid"),
    "GET /api/v1/usage/drift": everybodys("/api/v1/usage/drift", 403),
    "POST /api/v1/usage/rebuild": everybodys("/api/v1/usage/rebuild", 403),
    "POST /api/v1/usage/drop": everybodys("/api/v1/usage/drop", 403, json={"before": "2020-01"}),
    # Alerts are sent to hosts that only operators name.
    "GET /api/v1/alert-hosts": everybodys("/api/v1/alert-hosts", 403),
    "POST /api/v1/alert-hosts": everybodys("/api/v1/alert-hosts", 403, json={"pattern": "a.test"}),
    "DELETE /api/v1/alert-hosts/{pattern}": everybodys("/api/v1/alert-hosts/a.test", 403),
    "GET /api/v1/organisations/{org}/alerts": Row(200, 200, 404, f"{ORG}/alerts"),
    "POST /api/v1/organisations/{org}/alerts": Row(
        422, 403, 404, f"{ORG}/alerts", {"json": {"url": "https://hooks.example.org/"}}
    ),
    "DELETE /api/v1/organisations/{org}/alerts/{webhook}": Row(404, 403, 404, HOOK),
    **{
        f"POST /api/v1/organisations/{{org}}/alerts/{{webhook}}/{verb}": Row(
            404, 403, 404, f"{HOOK}/{verb}"
        )
        for verb in ("enable", "rotate", "test")
    },
    "GET /api/v1/organisations/{org}/alerts/{webhook}/deliveries": Row(
        404, 404, 404, f"{HOOK}/deliveries"
    ),
    # Budgets: an organisation's are set by operators, those below by its admins.
    "GET /api/v1/prices": everybodys("/api/v1/prices"),
    "PUT /api/v1/prices": everybodys("/api/v1/prices", 403, json={"weight": 2}),
    "DELETE /api/v1/prices": everybodys("/api/v1/prices", 403),
    "GET /api/v1/shares": everybodys("/api/v1/shares"),
    "PUT /api/v1/shares": everybodys(
        "/api/v1/shares", 403, json={"organisation": "orchid", "weight": 2}
    ),
    "GET /api/v1/organisations/{org}/limits": Row(200, 200, 404, f"{ORG}/limits"),
    "GET /api/v1/leases": everybodys("/api/v1/leases", 403),
    "POST /api/v1/leases/{lease}/write-off": everybodys("/api/v1/leases/lse_x/write-off", 403),
    "GET /api/v1/organisations/{org}/budgets": Row(200, 200, 404, f"{ORG}/budgets"),
    "GET /api/v1/organisations/{org}/estimate": Row(
        200, 404, 404, f"{ORG}/estimate?model=orchid.orchid-lab.petal&device_us=5"
    ),
    "PUT /api/v1/organisations/{org}/keys/{key}/priority": own(
        f"{ORG}/keys/{{key}}/priority", json={"priority": 1}
    ),
    **dict(of_budgets("", "", (403, 403, 403, 403), 403)),
    **dict(of_budgets("/projects/{project}", "/projects/orchid-lab", (200, 200, 204, 200), 404)),
    **dict(of_budgets("/keys/{key}", "/keys/{key}", (200, 404, 404, 200), 404)),
}


def test_every_route_has_its_row(world):
    found = {
        f"{method} {route.path_format.replace(':path', '')}"
        for route in iter_route_contexts(world.app.routes)
        for method in route.methods
    }
    assert found == set(MATRIX), "say in MATRIX what the route shows to whom"


class Tenants:
    """`orchid` with the projects `orchid-lab`, whose things are tried, and `orchid-side`; and
    `globex`."""

    def __init__(self, world):
        self.world = world
        self.keys: dict[str, str | None] = {"none": None}
        self.things: set[str] = set()
        """Ids and names in the lab: for its owner alone."""
        self.home: set[str] = set()
        """Ids and names of the organisation around it: not for strangers."""
        self._people = self._hands = 0
        self.upload = None

    async def settle(self, make_bundle):
        world = self.world
        made = await world.organisation("orchid", owner={"role": "admin"}, gone={"role": "admin"})
        self.keys |= {"owner": made["owner"], "revoked": made["gone"]}
        for project in ("orchid-lab", "orchid-side"):
            await self.as_owner("POST", f"{ORG}/projects", json={"name": project})
        side = {"role": "admin", "project": "orchid-side"}
        self.keys["project"] = (await self.as_owner("POST", f"{ORG}/keys", json=side))["key"]
        stranger = await world.organisation("globex", admin={"role": "admin"})
        self.keys["stranger"] = stranger["admin"]
        await self.as_owner("DELETE", f"{ORG}/keys/{made['gone'].split('_')[1]}")
        await self.register(make_bundle("petal"))
        await self.use()
        await self.remember()

    async def as_owner(self, method, path, **more):
        answer = await self.world.ask(self.keys["owner"], method, path, **more)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def register(self, bundle):
        lab = {"role": "engineer", **LAB, "label": "label-of-the-lab"}
        self.lab_key = (await self.as_owner("POST", f"{ORG}/keys", json=lab))["key"]
        async with self.world.client(self.lab_key) as client:
            upload = (await client.post("/api/v1/uploads")).json()["upload"]
            for path, content in bundle.items():
                await client.put(f"/api/v1/uploads/{upload}/files/{path}", content=content)
            done = await client.post(f"/api/v1/uploads/{upload}/commit", json=LAB)
        assert done.status_code == 200, done.text
        self.model = done.json()

    async def use(self):
        shown = await self.as_owner("GET", ORG)
        projects = (await self.as_owner("GET", f"{ORG}/projects"))["items"]
        self.ids = {p["name"]: p["id"] for p in projects} | {"orchid": shown["id"]}
        record = UsageRecord(
            organisation=self.ids["orchid"],
            project=self.ids["orchid-lab"],
            key=self.lab_key.split("_")[1],
            request_id="request-of-the-lab",
            model=self.model["model"],
            version=1,
            digest=self.model["digest"],
            provider="cpu",
            rows=1,
            compute_us=424_242,
            host_us=10,
            latency_us=1000,
            outcome="ok",
            at_unix_us=self.world.clock.unix_us() - 1,
            replica="r1",
        )
        async with self.world.node() as node:
            sent = await node.post("/internal/v1/usage", content=to_line(record))
        assert sent.json() == {"accepted": 1, "new": 1}

    async def remember(self):
        self.home = {self.ids["orchid"], self.ids["orchid-side"], "orchid"}
        self.home |= {self.keys[who].split("_")[1] for who in ("owner", "project", "revoked")}
        self.things = {
            self.ids["orchid-lab"], "orchid-lab", "petal", "label-of-the-lab", "424242",
            "request-of-the-lab", self.lab_key.split("_")[1],
            self.model["model"], self.model["digest"],
        }  # fmt: skip

    async def call(self, name, who, *, about_nothing=False):
        """The answer of route `name` to `who`, on fresh things of the owner's."""
        row, key = MATRIX[name], self.keys[who]
        path, more = row.path, dict(row.more)
        if about_nothing:
            home = who == "stranger"  # the others are in the organisation, and know it
            path, more = rename(path, home), rename(more, home)
        else:
            path = await self.filled(path, more)
        async with self.world.client(key) as client:
            return await client.request(name.split(" ")[0], path, **more)

    async def filled(self, path, more):
        if "{key}" in path:
            made = await self.as_owner("POST", f"{ORG}/keys", json={"role": "consumer", **LAB})
            path = self.put(path, "{key}", made["id"])
        if "{member}" in path:
            body = {"email": self.address(), "role": "consumer", **LAB}
            made = await self.as_owner("POST", f"{ORG}/members", json=body)
            self.things.add(body["email"])
            path = self.put(path, "{member}", made["id"])
        if "{upload}" in path:
            if self.upload is not None:
                await self.world.ask(self.keys["owner"], "DELETE", f"/api/v1/uploads/{self.upload}")
            self.upload = (await self.as_owner("POST", "/api/v1/uploads"))["upload"]
            path = self.put(path, "{upload}", self.upload)
        if "{proposal}" in path:
            path = self.put(path, "{proposal}", await self.proposal())
        if "email" in more.get("json", {}):
            more["json"] = more["json"] | {"email": self.address()}
        return path.replace("{sha256}", self.model["digest"])

    async def proposal(self):
        """Somebody moves an alias in MLflow, each time another one."""
        self._hands += 1
        alias = f"hand-{self._hands}"
        self.world.tracker.models[self.model["model"]].aliases[alias] = 1
        self.world.parts.registrar.mirror.poll()
        found = (await self.as_owner("GET", "/api/v1/proposals"))["items"]
        return next(p["id"] for p in found if p["alias"] == alias)

    def put(self, path, name, thing):
        self.things.add(thing)
        return path.replace(name, thing)

    def address(self):
        self._people += 1
        return f"person-{self._people}@orchid.test"

    def leaks(self, answer, who):
        """Which of the ids and names that `who` may not know are in the answer."""
        hidden = {"owner": set(), "project": self.things}.get(who, self.things | self.home)
        said = answer.text + str(answer.headers)
        return {thing for thing in hidden if thing in said}

    async def lab(self):
        """All that is in the lab, as its owner sees it."""
        found = []
        for what in ("keys", "members"):
            items = (await self.as_owner("GET", f"{ORG}/{what}"))["items"]
            found += [i for i in items if i["project_name"] == "orchid-lab"]
        found += (await self.as_owner("GET", "/api/v1/models"))["items"]
        return found


def rename(value, home):
    """The same request about something that never was; `home`: in no organisation either."""
    if isinstance(value, dict):
        return {name: rename(each, home) for name, each in value.items()}
    if isinstance(value, str):
        for name, other in ABSENT.items():
            value = value.replace(name, other)
        if home:
            value = value.replace("orchid", "no-such-one")
    return value


@pytest.fixture
async def tenants(world, make_bundle):
    found = Tenants(world)
    await found.settle(make_bundle)
    return found


@pytest.mark.parametrize("who", ["owner", "project", "stranger", "revoked", "none"])
async def test_each_is_answered_as_the_matrix_says_and_hears_of_nothing_foreign(tenants, who):
    for name, row in MATRIX.items():
        answer = await tenants.call(name, who)
        expected = getattr(row, who, row.owner if row.public else 401)
        assert answer.status_code == expected, (name, answer.text)
        assert not tenants.leaks(answer, who), name
        if expected >= 400 and answer.content:
            assert set(answer.json()) == {"error", "code", "input", "request_id"}, name


async def test_what_is_foreign_is_told_like_what_never_was(tenants):
    def said(answer):
        body = answer.json()
        return answer.status_code, body["error"], body["code"], body["input"]

    compared = 0
    for name, row in MATRIX.items():
        for who in ("project", "stranger"):
            if getattr(row, who) == 404 and not row.public:
                real = await tenants.call(name, who)
                assert said(real) == said(await tenants.call(name, who, about_nothing=True)), name
                compared += 1
    assert compared >= 30


async def test_the_owner_sees_what_the_others_were_denied(tenants):
    """Otherwise the matrix would be silent because nothing is there."""
    shown, settled = "", tenants.things | tenants.home
    for name in MATRIX:
        if name.startswith("GET /api"):
            shown += (await tenants.call(name, "owner")).text
    assert {thing for thing in settled if thing not in shown} == set()


async def test_nothing_of_the_lab_was_changed_by_those_who_may_not(tenants):
    before = None
    for who in ("project", "stranger", "revoked", "none"):
        for name in MATRIX:
            await tenants.call(name, who)
        ended = [k for k in await tenants.lab() if k.get("revoked_unix_us")]
        gone = [m for m in await tenants.lab() if m.get("removed_unix_us")]
        models = [m for m in await tenants.lab() if "versions" in m]
        assert (ended, gone) == ([], [])
        assert before in {None, str(models)}
        before = str(models)
    assert all(k["replaced_by"] is None for k in await tenants.lab() if "replaced_by" in k)
