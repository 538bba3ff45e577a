"""What the tags of MLflow say about a model and a version: all of it text, made from the outbox."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_FOREIGN = re.compile(r"[^A-Za-z0-9_.:/ -]")
_CARD_LENGTH = 1000
_TAG_LENGTH = 500
_EXAMINED = ("provider", "runtime", "run_us", "peak_bytes")
_LINEAGE = ("run", "experiment", "source", "artifacts", "user")


def model_tags(payload: Mapping[str, Any]) -> dict[str, str]:
    """Of a registered model: where it is in the hub."""
    words = ("organisation", "project", "name", "visibility")
    return _plain({f"plaza.{word}": payload.get(word) for word in words})


def version_tags(payload: Mapping[str, Any], run: Any) -> dict[str, str]:
    """Of a model version. `run` is MLflow's own record of the run that trained it, if it has it."""
    examined = payload.get("examination") or {}
    lineage = payload.get("lineage") or {}
    experiment = lineage.get("experiment") or (run.info.experiment_id if run is not None else None)
    trained = run.data.metrics if run is not None else {}
    metrics = {**trained, **lineage.get("metrics", {}), **(payload.get("metrics") or {})}
    tags: dict[str, Any] = {
        "plaza.version": payload["version"],
        "plaza.digest": payload.get("digest"),
        "plaza.family": payload.get("family"),
        "plaza.state": payload.get("state"),
        "plaza.release": _release() if "digest" in payload else None,
        **{f"plaza.examination.{word}": examined.get(word) for word in _EXAMINED},
        **{f"plaza.{word}": lineage.get(word) for word in _LINEAGE},
        "plaza.experiment": experiment,
        **{metric_tag(name): f"{number:.6g}" for name, number in metrics.items()},
    }
    return _plain(tags)


def metric_tag(name: str) -> str:
    """MLflow takes letters, digits and `_ - . : /` and spaces in names, 250 characters at most."""
    return "plaza.metric." + _FOREIGN.sub("_", name)[:200]


def shortened(text: str, most: int = _CARD_LENGTH) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _plain(tags: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: shortened(str(value), _TAG_LENGTH)
        for name, value in tags.items()
        if value not in {None, ""}
    }


def _release() -> str:
    try:
        return version("plaza-hub")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "source"
