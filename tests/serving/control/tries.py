"""How routes are called in `test_access`, and what has to be there before they can be."""

from __future__ import annotations

from dataclasses import dataclass, field

from plaza_core.principal import Right
from plaza_core.rollout import GatePolicy, RolloutKind
from plaza_core.table import Visibility

PRIVATE = "acme.main.private"
MODEL = f"/api/v1/models/{PRIVATE}"


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
    query: dict = field(default_factory=dict)
    private: bool = False
    """Operators who act for another organisation find nothing either."""


_WRITE, _READ, _PUBLISH = "models.write", "models.read", "models.publish"
_INFER, _DOCUMENTS = "infer", "documents.write"
_INDEX, _OF_INDEX = "/api/v1/indexes/{index}", "/api/v1/indexes/main.{index}"
_ROUTE = "/api/v1/models/{name}"
_NOTE = {"json": {}}
_REASON = {"json": {"reason": "a test"}}
TRIES_OF_MODELS = {
    **{
        f"POST {_ROUTE}/versions/{{version}}/{verb}": Try(
            _WRITE, f"{MODEL}/versions/{{spare}}/{verb}", _NOTE if verb == "withdraw" else {}
        )
        for verb in ("stage", "unstage", "retire", "restore", "withdraw", "examine")
    },
    f"POST {_ROUTE}/versions/{{version}}/certify": Try(
        _WRITE, f"{MODEL}/versions/1/certify", {"json": {"provider": "cpu"}}
    ),
    f"GET {_ROUTE}/certificates": Try(_READ, f"{MODEL}/certificates"),
    f"POST {_ROUTE}/aliases/{{alias}}/rollback": Try(
        _WRITE, f"{MODEL}/aliases/{{moved}}/rollback", _NOTE
    ),
    f"DELETE {_ROUTE}/aliases/{{alias}}": Try(_WRITE, f"{MODEL}/aliases/{{moved}}"),
    f"GET {_ROUTE}/aliases/{{alias}}/history": Try(_READ, f"{MODEL}/aliases/champion/history"),
    f"GET {_ROUTE}/diff": Try(_READ, f"{MODEL}/diff", query={"before": 1, "after": "champion"}),
    "GET /api/v1/retired": Try(_WRITE, whose=True),
    "DELETE /api/v1/retired": Try(_WRITE, whose=True),
    "GET /api/v1/rollouts": Try(_READ, whose=True),
    "GET /api/v1/rollouts/{rollout}": Try(_READ, "/api/v1/rollouts/{rollout}"),
    "POST /api/v1/rollouts/{rollout}/cancel": Try(_WRITE, "/api/v1/rollouts/{rollout}/cancel"),
    "POST /api/v1/rollouts/{rollout}/promote": Try(_WRITE, "/api/v1/rollouts/{rollout}/promote"),
    "GET /api/v1/catalogue": Try(_READ, whose=True),
    "GET /api/v1/catalogue/requests": Try(_READ, whose=True),
    "POST /api/v1/catalogue/requests/{request}/approve": Try(_PUBLISH, operators=True),
    "POST /api/v1/catalogue/requests/{request}/reject": Try(_PUBLISH, more=_REASON, operators=True),
    f"PATCH {_ROUTE}/tags": Try(_WRITE, f"{MODEL}/tags", {"json": {"add": ["edge"]}}),
    f"PUT {_ROUTE}/visibility": Try(
        _WRITE, f"{MODEL}/visibility", {"json": {"visibility": "organisation"}}
    ),
    f"GET {_ROUTE}/guests": Try(_READ, f"{MODEL}/guests"),
    f"POST {_ROUTE}/guests": Try(
        _PUBLISH, f"{MODEL}/guests", {"json": {"organisations": ["globex"]}}
    ),
    f"DELETE {_ROUTE}/guests/{{guest}}": Try(_WRITE, f"{MODEL}/guests/globex"),
    f"POST {_ROUTE}/publish": Try(_PUBLISH, f"{MODEL}/publish", _NOTE),
    "POST /api/v1/indexes": Try(
        _DOCUMENTS, more={"json": {"name": "fresh", "project": "main"}}, whose=True
    ),
    "GET /api/v1/indexes": Try(_READ, whose=True),
    f"GET {_INDEX}": Try(_READ, _OF_INDEX),
    f"DELETE {_INDEX}": Try(_DOCUMENTS, _OF_INDEX),
    f"PUT {_INDEX}/documents": Try(
        _DOCUMENTS,
        f"{_OF_INDEX}/documents",
        {"json": {"documents": [{"id": "1", "text": "a text"}]}},
        private=True,
    ),
    f"POST {_INDEX}/documents/delete": Try(
        _DOCUMENTS, f"{_OF_INDEX}/documents/delete", {"json": {"ids": ["1"]}}, private=True
    ),
    f"GET {_INDEX}/documents": Try(_INFER, f"{_OF_INDEX}/documents", private=True),
    f"POST {_INDEX}/search": Try(
        _INFER, f"{_OF_INDEX}/search", {"json": {"query": "text"}}, private=True
    ),
}


class Prepared:
    """What the routes about models need, of `acme`'s private model, made by its placeholder."""

    def __init__(self, tenancy, admin):
        self._tenancy = tenancy
        self._scope = tenancy.scope(tenancy.authenticate(admin), Right.MODELS_PUBLISH)

    def spare(self):
        """A version that no alias means."""
        found = self._tenancy.records.details(self._scope, PRIVATE, "2").examination
        self._tenancy.lifecycle.restore(self._scope, PRIVATE, 2)
        self._tenancy.lifecycle.examined(self._scope, PRIVATE, 2, found)
        return "2"

    def moved(self):
        """An alias that has somewhere to go back to."""
        for version in (1, 3):
            self._tenancy.aliases.promote(self._scope, PRIVATE, "moved", version)
        return "moved"

    def rollout(self):
        self._tenancy.aliases.promote(self._scope, PRIVATE, "tried", 1, force=True)
        started = self._tenancy.rollouts.start(
            self._scope, PRIVATE, "tried", 3, kind=RolloutKind.CANARY, part=5, policy=GatePolicy()
        )
        return started.id

    def index(self):
        """An empty one, of words."""
        for one in self._tenancy.indexes.list(self._scope):
            self._tenancy.indexes.drop(self._scope, one.name)
        return self._tenancy.indexes.create(self._scope, "cases", project="main").name

    def request(self):
        self._tenancy.visibility.set(self._scope, PRIVATE, Visibility.PROJECT)
        return self._tenancy.visibility.publish(self._scope, PRIVATE).request.id


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
