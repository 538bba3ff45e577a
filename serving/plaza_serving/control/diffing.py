"""Two versions side by side: signature, card metrics, examination."""

from __future__ import annotations

from collections.abc import Mapping

from plaza_core.card import read_card
from plaza_core.compatibility import changes
from plaza_core.running import Examination
from plaza_serving.control.shapes.models import Measured, ModelDiff, VersionName, measured
from plaza_tenancy.views import VersionDetails


def diff(before: VersionDetails, after: VersionDetails) -> ModelDiff:
    found = changes(before.entry.manifest, after.entry.manifest)
    return ModelDiff(
        before=_name(before),
        after=_name(after),
        same_bundle=before.entry.digest == after.entry.digest,
        compatible=not any(change.breaking for change in found),
        changes=found,
        metrics=_side_by_side(metrics_of(before.card), metrics_of(after.card)),
        examination=_side_by_side(_numbers(before.examination), _numbers(after.examination)),
    )


def metrics_of(card: str) -> dict[str, float]:
    return {name: metric.value for name, metric in read_card(card).front.measured().items()}


def _numbers(found: Examination) -> dict[str, float]:
    nodes = {f"nodes on {provider}": float(count) for provider, count in found.nodes.items()}
    return {"run_us": found.run_us, "peak_bytes": found.peak_bytes} | nodes


def _side_by_side(before: Mapping[str, float], after: Mapping[str, float]) -> list[Measured]:
    names = [*before, *(name for name in after if name not in before)]
    return [measured(name, before.get(name), after.get(name)) for name in names]


def _name(found: VersionDetails) -> VersionName:
    entry = found.entry
    return VersionName(
        model=found.model, version=entry.version, digest=entry.digest, state=entry.state
    )
