"""Training runs in MLflow: an embedded SQLite store or a server, as the URI says.

What one run logs is written as it comes, so that the curve of a run that died is there. Numbers
that are not finite are kept as tags, because stores refuse them as metrics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plaza_registry.mlflow_client import Connection

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SQLITE = "sqlite:///"
_LONGEST = 500
"""Characters of a parameter that every store takes."""
_AT_ONCE = 100


class MlflowRun:
    """One run; see `plaza_training.runs.Run`. Raises Unavailable, Conflict."""

    def __init__(self, connection: Connection, run_id: str) -> None:
        self._connection = connection
        self.id = run_id

    def parameters(self, said: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        flat = [Param(name, str(value)[:_LONGEST]) for name, value in _flat(said).items()]
        with self._connection.client() as client:
            for first in range(0, len(flat), _AT_ONCE):
                client.log_batch(self.id, params=flat[first : first + _AT_ONCE])

    def value(self, name: str, value: float, step: int) -> None:
        with self._connection.client() as client:
            self._metric(client, name, value, step)

    def metrics(self, found: Mapping[str, float]) -> None:
        with self._connection.client() as client:
            for name, value in found.items():
                self._metric(client, name, value, 0)

    def files(self, directory: Path, path: str) -> None:
        with self._connection.client() as client:
            client.log_artifacts(self.id, str(directory), path)

    def end(self, *, good: bool) -> None:
        with self._connection.client() as client:
            client.set_terminated(self.id, "FINISHED" if good else "FAILED")

    def _metric(self, client: MlflowClient, name: str, value: float, step: int) -> None:
        if math.isfinite(value):
            client.log_metric(self.id, name, value, step=step)
        else:
            client.set_tag(self.id, f"{name}.{step}", str(value))


class MlflowRuns:
    """All runs of one experiment. See `plaza_training.runs.Runs`."""

    def __init__(self, uri: str, experiment: str = "plaza-training") -> None:
        self._connection = Connection(uri)
        self._uri, self._experiment = uri, experiment

    def begin(self, name: str, tags: Mapping[str, str]) -> MlflowRun:
        with self._connection.client() as client:
            experiment = self._ensure(client)
            made = client.create_run(experiment, run_name=name, tags=dict(tags))
        return MlflowRun(self._connection, made.info.run_id)

    def _ensure(self, client: MlflowClient) -> str:
        found = client.get_experiment_by_name(self._experiment)
        if found is not None:
            return str(found.experiment_id)
        place = None
        if self._uri.startswith(_SQLITE):
            # Otherwise files would go into whatever directory this process was started in.
            store = Path(self._uri.removeprefix(_SQLITE)).absolute()
            place = (store.parent / f"{store.stem}-files").as_uri()
        return str(client.create_experiment(self._experiment, artifact_location=place))


def _flat(said: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested mappings as `outer.inner`, in characters that MLflow takes in a name."""
    found: dict[str, Any] = {}
    for key, value in said.items():
        name = before + "".join(c if c.isalnum() or c in "_-. /" else " " for c in str(key))
        if isinstance(value, Mapping):
            found |= _flat(value, f"{name}.")
        else:
            found[name] = value
    return found
