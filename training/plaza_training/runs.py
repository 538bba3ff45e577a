"""What a training run writes down, as a port: parameters, curves, numbers, files.

MLflow is one way to keep it (`plaza_registry.mlflow_runs`); without any, nothing is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from platform import machine, python_version
from typing import Any, Protocol

_PACKAGES = ("numpy", "onnx", "onnxruntime", "onnxscript", "plaza", "torch")


class RunLog(Protocol):
    """One run of one recipe."""

    def parameters(self, said: Mapping[str, Any]) -> None:
        """Choices that shaped the result. A value said again is not taken."""

    def value(self, name: str, value: float, step: int) -> None:
        """One point of a curve."""

    def metrics(self, found: Mapping[str, float]) -> None:
        """Final numbers."""

    def files(self, directory: Path, path: str) -> None:
        """Everything in `directory`, to be found under `path`."""


class Runs(Protocol):
    """Where runs are kept."""

    def begin(self, name: str, tags: Mapping[str, str]) -> Run:
        """Raises Unavailable when the store cannot be reached."""


class Run(RunLog, Protocol):
    """A run that is to be ended, either way."""

    @property
    def id(self) -> str: ...

    def end(self, *, good: bool) -> None: ...


class NoLog:
    """Keeps nothing."""

    def parameters(self, said: Mapping[str, Any]) -> None:
        return

    def value(self, name: str, value: float, step: int) -> None:
        return

    def metrics(self, found: Mapping[str, float]) -> None:
        return

    def files(self, directory: Path, path: str) -> None:
        return


def environment() -> dict[str, str]:
    """What the numbers may depend on besides the recipe: versions and the kind of machine."""
    found = {"python": python_version(), "machine": machine()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    return found
