"""Keeps Ray Serve running the desired applications, over Ray's declarative REST API.

    unreachable ──answers──▶ compare ──differs──▶ PUT ──▶ compare … ──equal──▶ watch
        ▲                                                                       │
        └────────────────────────── no answer ◀────────────────────────────────┘

Ray holds no truth: after its head was restarted it is empty, the comparison differs, and it is told
everything again. A PUT of what runs already changes nothing, so control may restart at any time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from plaza_core.clock import Clock

logger = logging.getLogger(__name__)

APPLICATIONS = "/api/serve/applications/"
_UNREACHABLE_S = 0.25
"""Asking again while nothing answers: refused connections cost next to nothing."""
_PATIENCE_S = 15.0
"""A fresh dashboard joins its cluster inside the first request, which a busy machine makes slow;
giving up and asking again would only begin that anew."""
_SETTLING_S = 0.5
_WATCHING_S = 4.0
"""Less than a head needs to come back, so that none comes and goes unseen. A look costs 10 ms, in
four processes of Ray."""
_BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class ApplicationState:
    """One application as Ray reports it; Ray's own messages stay in the log."""

    status: str
    running: int
    wanted: int


@dataclass(frozen=True, slots=True)
class RayState:
    """What the status report shows of Ray."""

    reachable: bool
    since_unix_us: int
    applied: int = 0
    """How often the desired state was sent since control started."""
    error: str | None = None
    applications: Mapping[str, ApplicationState] = field(default_factory=dict)


def ray_client(
    port: int, token: str, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """A client of the dashboard on this machine. Ray in token mode takes a bearer header."""
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        headers={"authorization": f"Bearer {token}"},
        # The first PUT returns only when Serve's controller and its ingress have started.
        timeout=httpx.Timeout(_PATIENCE_S, connect=1.0, read=60.0),
        trust_env=False,
        transport=transport,
    )


def satisfies(actual: Any, desired: Any) -> bool:
    """Whether `actual` says everything that `desired` says; it may say more.

    Ray echoes a configuration as it was set and adds fields of its own.
    """
    if isinstance(desired, Mapping):
        return isinstance(actual, Mapping) and all(
            key in actual and satisfies(actual[key], value) for key, value in desired.items()
        )
    if isinstance(desired, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(desired)
            and all(satisfies(a, d) for a, d in zip(actual, desired, strict=True))
        )
    return bool(actual == desired)


class Reconciler:
    """One `step` asks Ray once and acts at most once; `jobs.forever` repeats it."""

    def __init__(self, client: httpx.AsyncClient, desired: dict[str, Any], clock: Clock) -> None:
        self._client = client
        self._desired = desired
        self._clock = clock
        self._attempts = 0
        self.state = RayState(reachable=False, since_unix_us=clock.unix_us())

    async def __aenter__(self) -> Reconciler:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def step(self) -> float:
        """Ask, compare, apply if need be. Returns the seconds to wait before the next step."""
        try:
            applications = await self._deployed()
        except (httpx.HTTPError, ValueError) as error:
            self._attempts = 0
            self._note(reachable=False, error=_explain(error), applications={})
            return _UNREACHABLE_S
        self._note(reachable=True, applications=_summarise(applications))
        if not self._in_place(applications):
            return await self._apply()
        if all(app.status == "RUNNING" for app in self.state.applications.values()):
            self._attempts = 0
            self._note(error=None)
            return _WATCHING_S
        return _SETTLING_S

    async def _deployed(self) -> dict[str, Any]:
        answer = await self._client.get(APPLICATIONS, timeout=_PATIENCE_S)
        answer.raise_for_status()
        return dict(answer.json().get("applications") or {})

    def _in_place(self, applications: Mapping[str, Any]) -> bool:
        """Whether every desired application is deployed as desired and no old one is left over.

        An application whose deployment failed is not in place: sending it again builds it again.
        """
        wanted = {app["name"]: app for app in self._desired["applications"]}
        left_over = any(
            name not in wanted
            and app.get("source") == "declarative"
            and app.get("status") != "DELETING"
            for name, app in applications.items()
        )
        return not left_over and all(
            name in applications
            and satisfies(applications[name].get("deployed_app_config"), app)
            and applications[name].get("status") not in {"DEPLOY_FAILED", "DELETING"}
            for name, app in wanted.items()
        )

    async def _apply(self) -> float:
        """Send everything. What follows quickly the first time is tried ever more slowly."""
        wait = _BACKOFF_S[min(self._attempts, len(_BACKOFF_S) - 1)]
        self._attempts += 1
        try:
            answer = await self._client.put(APPLICATIONS, json=self._desired)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            self._note(error=_explain(error))
            return wait
        self._note(applied=self.state.applied + 1, error=None)
        logger.info("desired state sent to Ray Serve")
        return wait

    def _note(self, **changes: Any) -> None:
        """Update the state; log what changed hands, not every look."""
        before, now = self.state, replace(self.state, **changes)
        if now.reachable != before.reachable:
            now = replace(now, since_unix_us=self._clock.unix_us())
            logger.info("Ray %s", "answers" if now.reachable else "does not answer")
        if now.error is not None and now.error != before.error and now.reachable:
            logger.warning("Ray refused the desired state: %s", now.error)
        self.state = now


def _explain(error: Exception) -> str:
    """A word for the status report. Ray's bodies carry tracebacks and paths: they stay behind."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"Ray answered {error.response.status_code}"
    return type(error).__name__


def _summarise(applications: Mapping[str, Any]) -> dict[str, ApplicationState]:
    """Counts per application from Ray's details."""
    summary = {}
    for name, app in applications.items():
        deployments = (app.get("deployments") or {}).values()
        states = [replica.get("state") for d in deployments for replica in d.get("replicas", ())]
        summary[name] = ApplicationState(
            status=str(app.get("status")),
            running=states.count("RUNNING"),
            wanted=sum(int(d.get("target_num_replicas", 0)) for d in deployments),
        )
    return summary
