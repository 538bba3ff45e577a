"""MLflow as the version registry that engineers browse. The only file that imports mlflow.

MLflow holds metadata alone: a registered model named by Plaza's opaque model id, one version per
bundle whose source is `plaza://bundles/<digest>`, tags, and the aliases. No run, no artifact and no
flavour is involved; nothing is ever loaded through it. Its version numbers must equal the hub's.

The same code drives an embedded SQLite store and a server; the URI says which. The import takes
seconds, so it happens at the first item. Its server refuses `file:` sources without a run, hence a
scheme of our own; it reserves the aliases `latest` and `v<number>` (mlflow 3.17.2).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from plaza_core.errors import Conflict, Unavailable
from plaza_core.ports import OutboxItem

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_AI_GATEWAY": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    # A server that hangs must not hold a registration: the outbox tries again by itself.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}
"""Environment that mlflow reads when it is imported, where nothing else is set; for servers too."""
_CARD_LENGTH = 1000
_ABSENT = "RESOURCE_DOES_NOT_EXIST"
_EXISTS = "RESOURCE_ALREADY_EXISTS"
_REFUSED = frozenset({_ABSENT, _EXISTS, "INVALID_PARAMETER_VALUE", "BAD_REQUEST"})


class MlflowTracker:
    """VersionTracker in an MLflow registry at `uri`: `sqlite:///…`, `postgresql+…`, `http://…`."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._lock = threading.Lock()
        self._made: MlflowClient | None = None

    def apply(self, item: OutboxItem) -> None:
        """Idempotent. Raises Unavailable, or Conflict when MLflow's state cannot be made to agree
        (somebody changed it by hand)."""
        with self._lock, _translated():
            client = self._client()
            if item.kind == "version":
                _apply_version(client, item.payload)
            elif item.kind == "alias":
                _apply_alias(client, item.payload)
            elif item.kind == "card":
                _apply_card(client, item.payload)
            else:
                raise Conflict(f"the outbox has an item of the unknown kind '{item.kind}'")

    def _client(self) -> MlflowClient:
        if self._made is None:
            from mlflow import MlflowClient

            self._made = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        return self._made


def _apply_version(client: MlflowClient, payload: Mapping[str, Any]) -> None:
    model, number, digest = payload["model"], int(payload["version"]), payload["digest"]
    _ensure_model(client, payload)
    known = _digest_of(client, model, number)
    if known == digest:
        return
    if known is not None:
        raise Conflict(f"MLflow has other content as version {number} of {model}")
    if _newest(client, model) != number - 1:
        raise Conflict(f"MLflow would not number the next version of {model} {number}")
    tags = {
        "plaza.digest": digest,
        "plaza.family": payload.get("family"),
        "plaza.release": _release(),
    }
    made = client.create_model_version(
        model,
        source=f"plaza://bundles/{digest}",
        tags={name: value for name, value in tags.items() if value},
        description=_shortened(payload.get("card", "")),
        await_creation_for=0,
    )
    if int(made.version) != number:
        # The newest was deleted there by hand, and MLflow never gives a number twice. The stray
        # stays, disowned, so that the check above stops the next attempt.
        client.delete_model_version_tag(model, str(made.version), "plaza.digest")
        raise Conflict(f"MLflow numbered version {number} of {model} as {made.version}")


def _apply_alias(client: MlflowClient, payload: Mapping[str, Any]) -> None:
    client.set_registered_model_alias(
        payload["model"], payload["alias"], str(int(payload["version"]))
    )


def _apply_card(client: MlflowClient, payload: Mapping[str, Any]) -> None:
    client.update_model_version(
        payload["model"], str(int(payload["version"])), description=_shortened(payload["card"])
    )


def _ensure_model(client: MlflowClient, payload: Mapping[str, Any]) -> None:
    from mlflow.exceptions import MlflowException

    where = {f"plaza.{word}": payload.get(word) for word in ("organisation", "project", "name")}
    try:
        client.create_registered_model(
            payload["model"],
            tags={name: value for name, value in where.items() if value},
            description=payload.get("name"),
        )
    except MlflowException as error:
        if error.error_code != _EXISTS:
            raise


def _digest_of(client: MlflowClient, model: str, number: int) -> str | None:
    """The digest that MLflow has for a version; "" for a version that is not ours."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_model_version(model, str(number))
    except MlflowException as error:
        if error.error_code == _ABSENT:
            return None
        raise
    return str(found.tags.get("plaza.digest", ""))


def _newest(client: MlflowClient, model: str) -> int:
    """The highest version number of a model that MLflow shows; 0 for none."""
    found = client.search_model_versions(
        f"name = '{model}'", max_results=1, order_by=["version_number DESC"]
    )
    return int(found[0].version) if found else 0


@contextmanager
def _translated() -> Iterator[None]:
    """What the store refuses is a Conflict; that it cannot be asked at all is Unavailable."""
    for name, value in DEFAULTS.items():  # read by mlflow while it is imported
        os.environ.setdefault(name, value)
    from mlflow.exceptions import MlflowException

    try:
        yield
    except Conflict:
        raise
    except MlflowException as error:
        if error.error_code in _REFUSED:
            raise Conflict(f"MLflow refused the change ({error.error_code})") from error
        raise Unavailable("MLflow cannot be reached", retry_after=5) from error
    except Exception as error:  # its stores let their drivers' errors through
        raise Unavailable("MLflow cannot be reached", retry_after=5) from error


def _shortened(card: str) -> str:
    return card if len(card) <= _CARD_LENGTH else f"{card[: _CARD_LENGTH - 1]}…"


def _release() -> str:
    try:
        return version("plaza-hub")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "source"
