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


_WRITE, _READ, _PUBLISH = "models.write", "models.read", "models.publish"
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
}


class Prepared:
    """What the routes about models need, of `acme`'s private model, fresh for each call."""

    def __init__(self, tenancy, admin):
        self._tenancy = tenancy
        self._scope = tenancy.scope(tenancy.authenticate(admin), Right.MODELS_PUBLISH)

    def fill(self, path):
        for name in ("spare", "moved", "rollout", "request"):
            if f"{{{name}}}" in path:
                path = path.replace(f"{{{name}}}", getattr(self, name)())
        return path

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

    def request(self):
        self._tenancy.visibility.set(self._scope, PRIVATE, Visibility.PROJECT)
        return self._tenancy.visibility.publish(self._scope, PRIVATE).request.id
