"""Which files a reference to MLflow means, where they are, and where they come from.

    models:/road-cars/3   models:/road-cars@best   runs:/0f…/model

On a hub of several organisations MLflow is one for all. Who may import what is said in MLflow, by
a tag `plaza.organisation` on the version, its model or its run; the operators of the hub need none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plaza_core.errors import Conflict, InvalidInput, NotFound
from plaza_core.tracking import Lineage
from plaza_registry.mlflow_client import ABSENT, Connection

if TYPE_CHECKING:
    from mlflow import MlflowClient

OWNER = "plaza.organisation"
_MODEL = re.compile(r"models:/([^/@:\x00-\x1f]{1,250})(?:/([1-9][0-9]{0,9})|@([\w-]{1,255}))")
_RUN = re.compile(r"runs:/([A-Za-z0-9_-]{1,64})/([A-Za-z0-9][A-Za-z0-9._-]{0,199})")
_MINE = "plaza://"
_MOST = 50


@dataclass(frozen=True, slots=True)
class Logged:
    """What was found. `places`: where its directory may be, the likeliest first."""

    places: tuple[str, ...]
    name: str
    """As MLflow has it, which may be no name of ours."""
    lineage: Lineage
    card: str


def find(connection: Connection, source: str, organisation: str | None) -> Logged:
    """What `source` means for `organisation`; None: for an operator of the hub.

    Raises InvalidInput for what is no reference, NotFound also for what is somebody else's,
    Unavailable.
    """
    model, run = _MODEL.fullmatch(source), _RUN.fullmatch(source)
    if model is None and run is None:
        raise InvalidInput(
            "expected models:/NAME/VERSION, models:/NAME@ALIAS or runs:/RUN/PATH", input="source"
        )
    try:
        with connection.client() as client:
            if model is not None:
                found, tags = _of_model(client, *model.groups())
            else:
                assert run is not None
                found, tags = _of_run(client, source, run[1], run[2])
    except (NotFound, Conflict):  # an alias that is not there is a bad request to MLflow
        raise _nothing(organisation) from None
    owner = next((said for tag in tags if (said := tag.get(OWNER))), None)
    if organisation is not None and owner != organisation:
        raise _nothing(organisation)
    if any(place.startswith(_MINE) for place in found.places):
        raise InvalidInput("this is what the hub itself told MLflow of", input="source")
    return found


def _nothing(organisation: str | None) -> NotFound:
    mine = "" if organisation is None else f" with the tag {OWNER} = {organisation}"
    return NotFound(f"MLflow has no such model or run{mine}", input="source")


def _of_model(
    client: MlflowClient, name: str, number: str | None, alias: str | None
) -> tuple[Logged, Iterable[Mapping[str, str]]]:
    if alias is not None:
        version = client.get_model_version_by_alias(name, alias)
    else:
        version = client.get_model_version(name, number)
    place = client.get_model_version_download_uri(name, version.version)
    run = _run(client, version.run_id)
    lineage = _lineage(f"models:/{name}/{version.version}", place, run)
    tags = (version.tags, client.get_registered_model(name).tags, _tags(run))
    return Logged((place,), name, lineage, version.description or ""), tags


def _of_run(
    client: MlflowClient, source: str, run_id: str, path: str
) -> tuple[Logged, Iterable[Mapping[str, str]]]:
    """Since MLflow 3 models are logged beside their run; before, among its artifacts."""
    run = client.get_run(run_id)
    beside = client.search_logged_models(
        [run.info.experiment_id],
        filter_string=f"source_run_id = '{run_id}'",
        max_results=_MOST,
        order_by=[{"field_name": "creation_timestamp", "ascending": False}],
    )
    places = [model.artifact_location for model in beside if model.name == path]
    places.append(f"{run.info.artifact_uri.rstrip('/')}/{path}")
    lineage = _lineage(source, places[0], run)
    return Logged(tuple(places), path, lineage, ""), (_tags(run),)


def _run(client: MlflowClient, run_id: str | None) -> Any:
    from mlflow.exceptions import MlflowException

    if not run_id:
        return None
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == ABSENT:
            return None
        raise


def _tags(run: Any) -> Mapping[str, str]:
    return run.data.tags if run is not None else {}


def _lineage(source: str, place: str, run: Any) -> Lineage:
    if run is None:
        return Lineage(source=source[:500], artifacts=place[:500])
    return Lineage(
        run=run.info.run_id,
        experiment=run.info.experiment_id,
        source=source[:500],
        artifacts=place[:500],
        user=(_tags(run).get("mlflow.user") or "")[:200],
        metrics=dict(sorted(run.data.metrics.items())[:_MOST]),
    )
