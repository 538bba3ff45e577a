"""Requests of a divided alias: which version answers, what if it cannot, what was seen of it.

    alias ─▶ sticky word ─▶ stable                          counted as such
                        └─▶ canary ─▶ answer                counted as such
                              └─ not open, refuses, crashes ─▶ stable answers, the failure counts

No caller suffers by a bad canary where the deadline allows a second attempt: inference has no side
effects, so what the canary failed on is computed once more by the stable version. It is charged
once, for the attempt that answered; the platform bears the other. An input that the stable version
refuses as well was the caller's mistake and counts against nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from plaza_core.errors import BadRequest, CellDied, DeadlineExceeded, ModelFailed, PlazaError
from plaza_core.inference import Call
from plaza_core.rollout import Arm
from plaza_serving.dataplane.bills import Ran
from plaza_serving.dataplane.catalogue import Divided, Resolved
from plaza_serving.dataplane.hosted import Hosted
from plaza_serving.dataplane.hosting import ModelHost
from plaza_serving.dataplane.sightings import Sightings
from plaza_serving.dataplane.work import Finished, Work

Open = Callable[[Resolved], Awaitable[Hosted]]


@dataclass(slots=True, eq=False)
class Route:
    """How one request came to its version. `rollout` None: nobody counts."""

    rollout: str | None
    arm: Arm
    shadows: Sequence[Resolved] = ()
    """Versions that compute it too, when it was answered."""
    stable: Hosted | None = None
    """Who answers where the canary fails; None: nobody, or it has done so already."""
    fallback: Resolved | None = None
    refused: PlazaError | None = None
    """What the canary said, since the stable version has taken over."""


@dataclass(frozen=True, slots=True)
class Routed:
    target: Resolved
    hosted: Hosted
    route: Route | None


class Router:
    """`choose` runs on the loop, `settle` on worker threads."""

    def __init__(self, host: ModelHost, sightings: Sightings) -> None:
        self._host = host
        self._seen = sightings

    async def choose(self, target: Resolved, divided: Divided, call: Call, opened: Open) -> Routed:
        """`target` is the stable version. Raises what its check and its opening raise."""
        split, word = divided.split, call.sticky or call.request_id
        number = split.answering(word)
        if number != split.stable:
            canary = divided.versions.get(number)
            found = None if canary is None else self._canary(canary, target, split.rollout, call)
            if found is not None:
                return found
        hosted = await opened(target)
        hosted.check(call)
        if number != split.stable or split.rollout is None:
            return Routed(target, hosted, None)
        shadows = [divided.versions.get(version) for version in split.shadowing(word)]
        named = [shadow for shadow in shadows if shadow is not None]
        return Routed(target, hosted, Route(split.rollout, Arm.STABLE, named))

    def _canary(
        self, canary: Resolved, stable: Resolved, rollout: str | None, call: Call
    ) -> Routed | None:
        """The canary, if it is open and takes the call; None: the stable version answers."""
        key = canary.key
        hosted = self._host.get(key)
        if hosted is None:
            if self._host.want(key, canary.version) is not None:
                self._failed(rollout)
            return None
        fallback = self._host.get(stable.key)
        try:
            hosted.check(call)
        except BadRequest:
            if fallback is None or rollout is None:
                raise
            fallback.check(call)
            self._failed(rollout)
            return None
        route = Route(rollout, Arm.CANARY)
        if rollout is not None and fallback is not None:
            route.stable, route.fallback = fallback, stable
        return Routed(canary, hosted, route)

    def settle(
        self, finished: Sequence[Finished], now_ns: int
    ) -> tuple[list[Finished], list[Work]]:
        """Count what was seen. Returns what has ended, and what the stable version shall do."""
        ended: list[Finished] = []
        again: list[Work] = []
        runs: dict[tuple[str, Arm], dict[int, Ran]] = {}
        for done in finished:
            route = done.work.route
            if route is None or route.rollout is None:
                ended.append(done)
                continue
            if route.refused is not None:
                self._count_second(done, route.rollout, route.refused)
                ended.append(done)
                continue
            if done.ran is not None:
                runs.setdefault((route.rollout, route.arm), {})[id(done.ran)] = done.ran
            self._count_first(done, route.rollout, route.arm)
            if _again(done, route, now_ns):
                again.append(done.work)
            else:
                ended.append(done)
        for (rollout, arm), each in runs.items():
            self._seen.runs(rollout, arm, each.values())
        return ended, again

    def _count_first(self, done: Finished, rollout: str, arm: Arm) -> None:
        if isinstance(done.error, BadRequest):
            return
        late = done.work.dropped_as == DeadlineExceeded.code
        self._seen.requests(rollout, arm, 1, failed=int(done.error is not None or late))

    def _count_second(self, done: Finished, rollout: str, refused: PlazaError) -> None:
        """The stable version's word on an input that the canary has refused."""
        if isinstance(refused, BadRequest) and not isinstance(done.error, BadRequest):
            self._failed(rollout)

    def _failed(self, rollout: str | None) -> None:
        if rollout is not None:
            self._seen.requests(rollout, Arm.CANARY, 1, failed=1)


def _again(done: Finished, route: Route, now_ns: int) -> bool:
    """Hand a failed request of the canary to the stable version, if somebody still waits for it."""
    if route.fallback is None or not isinstance(done.error, BadRequest | ModelFailed | CellDied):
        return False
    if now_ns >= done.work.deadline_ns:
        return False
    route.refused = done.error
    if done.work.again(route.fallback, done.bill):
        return True
    route.refused = None
    return False
