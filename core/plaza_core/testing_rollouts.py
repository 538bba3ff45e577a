"""RolloutRecords in memory, over models that it holds itself: for tests without a database."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from plaza_core.clock import Clock
from plaza_core.errors import Conflict, InvalidInput, ModelNotFound, NotFound
from plaza_core.ids import RandomBytes, new_id
from plaza_core.principal import TenantScope
from plaza_core.rollout import (
    WHOLE,
    GatePolicy,
    Rollout,
    RolloutKind,
    RolloutState,
    Split,
    Verdict,
)
from plaza_core.table import ModelEntry

GATE = "gate"


class MemoryRollouts:
    """`models` are as the hub table would have them, with the splits that rollouts make."""

    def __init__(self, models: Iterable[ModelEntry], clock: Clock, random: RandomBytes) -> None:
        self.models = {model.id: model for model in models}
        self.rollouts: dict[str, Rollout] = {}
        self.audit: list[tuple[str, str, str]] = []
        """(actor, action, rollout id) of every change, as the audit trail would have it."""
        self._clock = clock
        self._random = random
        self._lock = threading.Lock()

    def start(
        self,
        scope: TenantScope,
        name: str,
        alias: str,
        candidate: int,
        *,
        kind: RolloutKind,
        part: int,
        policy: GatePolicy,
    ) -> Rollout:
        with self._lock:
            model = self._model(scope, name)
            if candidate not in {version.version for version in model.versions}:
                raise ModelNotFound("the model has no such version", input="version")
            if alias not in model.aliases:
                raise ModelNotFound("the model has no such alias", input="alias")
            if any(r.model == model.id and r.alias == alias for r in self._running()):
                raise Conflict("another rollout of this alias runs", input="alias")
            stable = model.aliases[alias]
            most = WHOLE if kind is RolloutKind.SHADOW else WHOLE - 1
            if candidate == stable:
                raise InvalidInput("this is the stable version", input="version")
            if not 0 < part <= most:
                raise InvalidInput(f"a part is 1 to {most} of {WHOLE}", input="part")
            rollout = Rollout(
                id=new_id("rol", self._random),
                model=model.id,
                name=f"{model.organisation_name}.{model.project_name}.{model.name}",
                organisation=model.organisation,
                alias=alias,
                kind=kind,
                stable=stable,
                candidate=candidate,
                part=part,
                policy=policy,
                state=RolloutState.RUNNING,
                started_unix_us=self._clock.unix_us(),
            )
            self.rollouts[rollout.id] = rollout
            self._split(rollout, _split_of(rollout))
            self.audit.append((scope.actor, "rollout.start", rollout.id))
            return rollout

    def running(self) -> list[Rollout]:
        with self._lock:
            return self._running()

    def keep(self, rollout: str, evidence: Mapping[str, Any], verdict: Verdict) -> None:
        with self._lock:
            known = self.rollouts.get(rollout)
            if known is not None and known.state is RolloutState.RUNNING:
                fresh = {"evidence": dict(evidence), "verdict": verdict}
                self.rollouts[rollout] = known.model_copy(update=fresh)

    def stop(self, rollout: str, verdict: Verdict) -> bool:
        with self._lock:
            known = self.rollouts.get(rollout)
            if known is None or known.state is not RolloutState.RUNNING:
                return False
            self._end(known, RolloutState.STOPPED, GATE, verdict)
            return True

    def end(self, scope: TenantScope, rollout: str, state: RolloutState) -> Rollout:
        with self._lock:
            known = self.rollouts.get(rollout)
            if known is None or not _owns(scope, known):
                raise NotFound("there is no such rollout", input="rollout")
            if known.state is not RolloutState.RUNNING:
                raise Conflict("this rollout has ended", input="rollout")
            return self._end(known, state, scope.actor, known.verdict)

    def find(self, scope: TenantScope, name: str | None = None) -> list[Rollout]:
        with self._lock:
            wanted = None if name is None else self._model(scope, name).id
            found = [
                rollout
                for rollout in self.rollouts.values()
                if _owns(scope, rollout) and wanted in {None, rollout.model}
            ]
            return found[::-1]

    def _running(self) -> list[Rollout]:
        return [r for r in self.rollouts.values() if r.state is RolloutState.RUNNING]

    def _model(self, scope: TenantScope, name: str) -> ModelEntry:
        for model in self.models.values():
            full = f"{model.organisation_name}.{model.project_name}.{model.name}"
            if f".{full}".endswith(f".{name}") and scope.organisation in {None, model.organisation}:
                return model
        raise ModelNotFound("there is no such model", input="model")

    def _end(
        self, rollout: Rollout, state: RolloutState, actor: str, verdict: Verdict | None
    ) -> Rollout:
        promoted = state is RolloutState.PROMOTED
        ended = rollout.model_copy(
            update={
                "state": state,
                "ended_by": actor,
                "ended_unix_us": self._clock.unix_us(),
                "verdict": verdict,
            }
        )
        self.rollouts[rollout.id] = ended
        if promoted:
            model = self.models[rollout.model]
            aliases = {**model.aliases, rollout.alias: rollout.candidate}
            self.models[model.id] = model.model_copy(update={"aliases": aliases})
        self._split(rollout, None)
        self.audit.append((actor, f"rollout.{state.value}", rollout.id))
        return ended

    def _split(self, rollout: Rollout, split: Split | None) -> None:
        model = self.models[rollout.model]
        splits = {alias: s for alias, s in model.splits.items() if alias != rollout.alias}
        if split is not None:
            splits[rollout.alias] = split
        self.models[model.id] = model.model_copy(update={"splits": splits})


def _split_of(rollout: Rollout) -> Split:
    stable, candidate, part = rollout.stable, rollout.candidate, rollout.part
    if rollout.kind is RolloutKind.SHADOW:
        tolerance = rollout.policy.tolerance
        return Split(
            stable=stable, shadows={candidate: part}, tolerance=tolerance, rollout=rollout.id
        )
    return Split(stable=stable, weights={stable: WHOLE - part, candidate: part}, rollout=rollout.id)


def _owns(scope: TenantScope, rollout: Rollout) -> bool:
    return scope.organisation in {None, rollout.organisation}
