"""From a model that somebody logged with `mlflow.onnx.log_model` to a bundle.

    reference ──▶ where ──▶ MLmodel, read as text ──▶ the .onnx file ──▶ its data files ──▶ bundle

Nothing is loaded through MLflow: no flavour, no pickle, no environment. What arrives is files, and
they go the way of every bundle: checked, hashed, examined in the sandbox. Weights beside the graph
keep their names, which MLflow draws at random, so logging the same model twice gives two digests.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from plaza_core.errors import InvalidBundle, NotFound, PayloadTooLarge, Unavailable
from plaza_core.manifest import CARD_FILE, MANIFEST_FILE, MODEL_FILE
from plaza_core.tracking import Lineage
from plaza_registry.artifacts import Artifacts, open_artifacts
from plaza_registry.bundle import BundleLimits, valid_path
from plaza_registry.drafting import draft, slug
from plaza_registry.graph import read_outline
from plaza_registry.mlflow_client import Connection
from plaza_registry.mlflow_source import Logged, find

_DESCRIPTION = "MLmodel"
_DESCRIPTION_BYTES = 256 * 1024
_WITHIN_S = 600.0


@dataclass(frozen=True, slots=True)
class Imported:
    """A bundle in `directory`, and where it comes from."""

    directory: Path
    name: str
    lineage: Lineage


class Importer:
    """One configured MLflow. Thread-safe; every method blocks."""

    def __init__(
        self,
        uri: str,
        staging: Path,
        *,
        root: Path | None = None,
        limits: BundleLimits | None = None,
    ) -> None:
        """`staging` is this object's alone: what a process that died left there goes."""
        self._connection = Connection(uri)
        self._staging = staging
        self._root = root
        self._limits = limits or BundleLimits()
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True, mode=0o700)

    @contextmanager
    def fetched(
        self, source: str, *, organisation: str | None, name: str | None = None
    ) -> Iterator[Imported]:
        """The bundle of what `source` means, until the end of the block.

        `organisation` is who asks, None an operator. `name` defaults to MLflow's, made a name of
        ours. Raises InvalidInput, NotFound, InvalidBundle, PayloadTooLarge, Unavailable.
        """
        logged = find(self._connection, source, organisation)
        with tempfile.TemporaryDirectory(dir=self._staging) as folder:
            directory = Path(folder)
            fetch = _Fetch(directory, self._limits, time.monotonic() + _WITHIN_S)
            artifacts, data = self._described(logged, fetch)
            fetch.write(artifacts, data, MODEL_FILE)
            outline = read_outline(directory / MODEL_FILE)
            for file in outline.external:
                fetch.write(artifacts, file, _beside(file))
            called = name or slug(logged.name)
            manifest = draft(outline, name=called).manifest
            document = yaml.safe_dump(manifest.model_dump(mode="json"), sort_keys=False)
            (directory / MANIFEST_FILE).write_text(document)
            (directory / CARD_FILE).write_text(_card(called, logged))
            yield Imported(directory, called, logged.lineage)

    def _described(self, logged: Logged, fetch: _Fetch) -> tuple[Artifacts, str]:
        """The directory that has an MLmodel, and the file that this says is the model."""
        for place in logged.places:
            artifacts = open_artifacts(place, server=self._connection.uri, root=self._root)
            try:
                return artifacts, onnx_file(fetch.text(artifacts, _DESCRIPTION))
            except NotFound:
                continue
        raise NotFound("nothing was logged there with mlflow.onnx.log_model", input="source")


class _Fetch:
    """Writes files of an import, within the limits of one bundle and a time for all of it."""

    def __init__(self, directory: Path, limits: BundleLimits, deadline: float) -> None:
        self._directory = directory
        self._bytes_left = limits.total_bytes
        self._files_left = limits.files - 2  # manifest and card are written here
        self._deadline = deadline

    def text(self, artifacts: Artifacts, name: str) -> str:
        data = bytearray()
        for chunk in artifacts.read(name):
            data += chunk
            if len(data) > _DESCRIPTION_BYTES:
                raise InvalidBundle("more text than a description has", input=name)
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise InvalidBundle("not UTF-8 text", input=name) from None

    def write(self, artifacts: Artifacts, name: str, path: str) -> None:
        self._files_left -= 1
        if self._files_left < 0:
            raise InvalidBundle("more files than a bundle may have")
        with (self._directory / path).open("xb") as file:
            for chunk in artifacts.read(name):
                self._bytes_left -= len(chunk)
                if self._bytes_left < 0:
                    raise PayloadTooLarge("this model is larger than a bundle may be", input=name)
                if time.monotonic() > self._deadline:
                    raise Unavailable("MLflow hands the files out too slowly")
                file.write(chunk)


def onnx_file(description: str) -> str:
    """The file that an `MLmodel` names as its ONNX model. Raises InvalidBundle."""
    try:
        document = yaml.safe_load(description)
    except (yaml.YAMLError, RecursionError):
        raise InvalidBundle("not valid YAML", input=_DESCRIPTION) from None
    flavors = document.get("flavors") if isinstance(document, dict) else None
    onnx = flavors.get("onnx") if isinstance(flavors, dict) else None
    data = onnx.get("data") if isinstance(onnx, dict) else None
    if not isinstance(data, str):
        raise InvalidBundle("no ONNX model: log it with mlflow.onnx.log_model", input=_DESCRIPTION)
    return data


def _beside(file: str) -> str:
    if "/" in file or valid_path(file) in {MODEL_FILE, MANIFEST_FILE, CARD_FILE}:
        raise InvalidBundle(
            "weights lie beside the model, in a file of their own", input=file[:200]
        )
    return file


def _card(name: str, logged: Logged) -> str:
    lineage = logged.lineage
    said = logged.card.strip()
    facts = [f"- imported from `{lineage.source}`"]
    facts += [f"- trained by the run `{lineage.run}`"] if lineage.run else []
    facts += [f"- {metric}: {number:.6g}" for metric, number in lineage.metrics.items()]
    return "\n".join([f"# {name}", "", *([said, ""] if said else []), *facts, ""])
