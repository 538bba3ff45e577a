"""MLflow's own store as a file, made once a process and copied: MLflow takes a second for its
tables, and every hub that registers a model in an empty directory would wait for them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path


def place_store(file: Path) -> None:
    """An empty store at `file`, as MLflow makes it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(_made(), file)


@cache
def _made() -> Path:
    from mlflow import MlflowClient

    directory = Path(tempfile.mkdtemp(prefix="plaza-mlflow-"))
    atexit.register(shutil.rmtree, directory)
    uri = f"sqlite:///{directory / 'mlflow.db'}"
    MlflowClient(uri, uri).search_registered_models()
    return directory / "mlflow.db"
