"""The registry in MLflow that engineers browse, made to show what the hub says.

A registered model is named by Plaza's opaque model id. Each version's source is
`plaza://bundles/<digest>`: MLflow holds metadata alone, and nothing is ever loaded through it. What
people read are tags (`plaza.…`), the description, aliases, and the run that trained the version.

Versions are found by the tag `plaza.version`. Their numbers are the hub's as long as nobody makes
or deletes versions by hand: MLflow numbers by itself and gives no number twice. Its server refuses
`file:` sources without a run, hence a scheme of our own; it reserves the aliases `latest` and
`v<number>` (mlflow 3.17.2).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from plaza_core.errors import Conflict, NotFound
from plaza_core.ids import ModelId
from plaza_core.ports import OutboxItem
from plaza_registry.mlflow_client import ABSENT, EXISTS, Connection
from plaza_registry.mlflow_tags import model_tags, shortened, version_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_log = logging.getLogger(__name__)
_SCHEME = "plaza://bundles/"
_FEW, _PAGE = 3, 500
TAG = "plaza.tag."


class MlflowTracker:
    """VersionTracker in an MLflow registry at `uri`: `sqlite:///…`, `postgresql+…`, `http://…`."""

    def __init__(self, uri: str) -> None:
        self._connection = Connection(uri)
        self._lock = threading.Lock()

    def apply(self, item: OutboxItem) -> int | None:
        """See `plaza_core.ports.VersionTracker`."""
        payload = item.payload
        with self._lock, self._connection.client() as client:
            match item.kind:
                case "version":
                    _apply_version(client, payload)
                case "alias":
                    return _apply_alias(client, payload)
                case "state":
                    number = _demand(client, payload["model"], payload["version"]).version
                    client.set_model_version_tag(
                        payload["model"], number, "plaza.state", payload["state"]
                    )
                case "card":
                    found = _demand(client, payload["model"], payload["version"])
                    _describe(client, found, payload)
                case "model":
                    _apply_model(client, payload)
                case _:
                    raise Conflict(f"the outbox has an item of the unknown kind '{item.kind}'")
        return None

    def shown(self, models: Collection[ModelId]) -> dict[ModelId, dict[str, int]]:
        with self._lock, self._connection.client() as client:
            if len(models) <= _FEW:
                found = [model for name in models if (model := _model(client, name)) is not None]
            else:
                found = _all_models(client)
        wanted = set(models)
        return {
            ModelId(model.name): {alias: int(at) for alias, at in model.aliases.items()}
            for model in found
            if model.name in wanted
        }

    def version_of(self, model: ModelId, number: int) -> int | None:
        with self._lock, self._connection.client() as client:
            found = _version(client, model, number)
            return None if found is None else _mirrors(found)


def _apply_version(client: MlflowClient, payload: Mapping[str, Any]) -> None:
    model, version = payload["model"], int(payload["version"])
    if payload.get("first", version == 1):
        _ensure_model(client, payload)
    elif _model(client, model) is None:
        raise NotFound(f"MLflow has no model {model}")
    run = _run_of(client, payload)
    tags = version_tags(payload, run)
    found = _find(client, model, version)
    if found is None:
        made = client.create_model_version(
            model,
            source=_SCHEME + payload["digest"],
            run_id=run.info.run_id if run is not None else None,
            tags=tags,
            description=shortened(payload.get("card", "")),
            await_creation_for=0,
        )
        if int(made.version) != version:
            _log.warning(
                "MLflow numbers a version otherwise: somebody makes or deletes versions there",
                extra={"model": model, "version": version, "number": made.version},
            )
    elif found.tags.get("plaza.digest") != payload["digest"]:
        raise Conflict(f"MLflow has other content as version {version} of {model}")
    else:
        _retag(client, found, tags)
        _describe(client, found, payload)
    if run is not None:
        where = ".".join(payload[word] for word in ("organisation", "project", "name"))
        client.set_tag(run.info.run_id, f"plaza.version.{model}", f"{where}/{version}")


def _apply_alias(client: MlflowClient, payload: Mapping[str, Any]) -> int | None:
    model, alias = payload["model"], payload["alias"]
    if payload["version"] is None:
        client.delete_registered_model_alias(model, alias)
        return None
    number = str(_demand(client, model, int(payload["version"])).version)
    client.set_registered_model_alias(model, alias, number)
    return int(number)


def _apply_model(client: MlflowClient, payload: Mapping[str, Any]) -> None:
    """Set what the payload names; its `tags`, where given, are all there are."""
    name = payload["model"]
    found = _model(client, name)
    if found is None:
        raise NotFound(f"MLflow has no model {name}")
    wanted = model_tags(payload) | {
        TAG + tag: text for tag, text in payload.get("tags", {}).items()
    }
    for tag, text in wanted.items():
        if found.tags.get(tag) != text:
            client.set_registered_model_tag(name, tag, text)
    if "tags" in payload:
        for tag in found.tags:
            if tag.startswith(TAG) and tag not in wanted:
                client.delete_registered_model_tag(name, tag)
    if (said := payload.get("description")) is not None and said != found.description:
        client.update_registered_model(name, shortened(said))


def _ensure_model(client: MlflowClient, payload: Mapping[str, Any]) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(
            payload["model"], tags=model_tags(payload), description=payload.get("name")
        )
    except MlflowException as error:
        if error.error_code != EXISTS:
            raise


def _run_of(client: MlflowClient, payload: Mapping[str, Any]) -> Any:
    """The run that trained a version, where this MLflow has it."""
    from mlflow.exceptions import MlflowException

    run = (payload.get("lineage") or {}).get("run")
    if not run:
        return None
    try:
        return client.get_run(run)
    except MlflowException as error:
        if error.error_code in {ABSENT, "INVALID_PARAMETER_VALUE"}:
            return None  # the tag `plaza.run` still tells of it
        raise


def _retag(client: MlflowClient, found: ModelVersion, tags: Mapping[str, str]) -> None:
    for tag, text in tags.items():
        if found.tags.get(tag) != text:
            client.set_model_version_tag(found.name, found.version, tag, text)


def _describe(client: MlflowClient, found: ModelVersion, payload: Mapping[str, Any]) -> None:
    said = shortened(payload.get("card", ""))
    if said != (found.description or ""):
        client.update_model_version(found.name, found.version, said)
    metrics = {tag: text for tag, text in version_tags(payload, None).items() if ".metric." in tag}
    _retag(client, found, metrics)


def _find(client: MlflowClient, model: str, version: int) -> ModelVersion | None:
    """What mirrors `version`, under whatever number: almost always its own."""
    same = _version(client, model, version)
    if same is not None and _mirrors(same) == version:
        return same
    query = f"name = '{model}' and tags.`plaza.version` = '{version}'"
    found = client.search_model_versions(query, max_results=1, order_by=["version_number DESC"])
    return found[0] if found else None


def _demand(client: MlflowClient, model: str, version: int) -> ModelVersion:
    found = _find(client, model, version)
    if found is None:
        raise NotFound(f"MLflow does not have version {version} of {model}")
    return found


def _mirrors(found: ModelVersion) -> int | None:
    """The hub's version that this is, by its tags; None: somebody made it by hand."""
    if "plaza.digest" not in found.tags or not str(found.source).startswith(_SCHEME):
        return None
    # Without the tag it was written by a release in which the numbers were always the same.
    said = found.tags.get("plaza.version", str(found.version))
    return int(said) if said.isdecimal() else None


def _version(client: MlflowClient, model: str, number: int) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(model, str(number))
    except MlflowException as error:
        if error.error_code == ABSENT:
            return None
        raise


def _model(client: MlflowClient, name: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == ABSENT:
            return None
        raise


def _all_models(client: MlflowClient) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = client.search_registered_models(
            "name LIKE 'mdl_%'", max_results=_PAGE, page_token=token
        )
        found += page
        token = page.token
        if not token:
            return found
