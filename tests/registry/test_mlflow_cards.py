"""A corrected card is what MLflow shows as the description of its version."""

from __future__ import annotations

import pytest

from plaza_core.ports import OutboxItem
from plaza_registry.mlflow_tracker import MlflowTracker

pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
]


def test_a_correction_reaches_mlflow_and_may_be_told_twice(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = MlflowTracker(uri)
    first = {"model": "mdl_1", "version": 1, "digest": "ab" * 32, "family": "tensor"}
    tracker.apply(OutboxItem(1, "version", first | {"card": "# Old", "name": "cars"}))
    for _ in range(2):
        tracker.apply(
            OutboxItem(2, "card", {"model": "mdl_1", "version": 1, "card": "# New" + "!" * 2000})
        )
    from mlflow import MlflowClient

    (shown,) = MlflowClient(tracking_uri=uri, registry_uri=uri).search_model_versions(
        "name='mdl_1'"
    )
    assert shown.description.startswith("# New!")
    assert len(shown.description) == 1000
    assert shown.tags["plaza.digest"] == "ab" * 32
