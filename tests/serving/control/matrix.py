"""What each route of control shows to whom: a row a route, tried on what `orchid` has in a lab."""

from __future__ import annotations

from dataclasses import dataclass, field

ORG = "/api/v1/organisations/orchid"
MODEL = "/api/v1/models/orchid.orchid-lab.petal"
INDEX = "/api/v1/indexes/orchid-lab.petal"
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
    "POST /api/v1/indexes": own(
        "/api/v1/indexes?organisation=orchid", 201, json={"name": "fresh", **LAB}
    ),
    "GET /api/v1/indexes": Row(200, 200, 404, "/api/v1/indexes?organisation=orchid"),
    "GET /api/v1/indexes/{index}": own(INDEX),
    "PUT /api/v1/indexes/{index}/documents": own(
        f"{INDEX}/documents", json={"documents": [{"id": "1", "text": "words-of-the-lab"}]}
    ),
    "GET /api/v1/indexes/{index}/documents": own(f"{INDEX}/documents"),
    "POST /api/v1/indexes/{index}/search": own(f"{INDEX}/search", json={"query": "words"}),
    "POST /api/v1/indexes/{index}/documents/delete": own(
        f"{INDEX}/documents/delete", json={"ids": ["2"]}
    ),
    "DELETE /api/v1/indexes/{index}": own(INDEX, 204),
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
