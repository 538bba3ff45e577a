"""How this room talks to MLflow: its environment, its client, and what its errors mean here.

The same code drives an embedded SQLite store and a server; the URI says which. The import takes
seconds and happens at the first use, never at control's start. Every request to a server is over
within seconds, because whoever waits tries again by themselves.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from plaza_core.errors import Conflict, NotFound, PlazaError, Unavailable

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_AI_GATEWAY": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    # A server that hangs must not hold anybody: with less than 3 s it fits into a verb.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "2",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}
"""Environment that mlflow reads when it is imported, where nothing else is set; for servers too."""
ABSENT = "RESOURCE_DOES_NOT_EXIST"
EXISTS = "RESOURCE_ALREADY_EXISTS"
_REFUSED = frozenset({EXISTS, "INVALID_PARAMETER_VALUE", "BAD_REQUEST"})


class Connection:
    """The client of one store at `uri`: `sqlite:///…`, `postgresql+…`, `http://…`."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._made: MlflowClient | None = None
        self._making = threading.Lock()

    @contextmanager
    def client(self) -> Iterator[MlflowClient]:
        """MLflow's own errors leave the block as ours: NotFound, Conflict when the store refuses,
        Unavailable when it cannot be asked."""
        with translated():
            with self._making:
                if self._made is None:
                    from mlflow import MlflowClient

                    self._made = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            yield self._made


@contextmanager
def translated() -> Iterator[None]:
    for name, value in DEFAULTS.items():  # read by mlflow while it is imported
        os.environ.setdefault(name, value)
    from mlflow.exceptions import MlflowException

    try:
        yield
    except PlazaError:
        raise
    except MlflowException as error:
        if error.error_code == ABSENT:
            raise NotFound("MLflow does not have it") from error
        if error.error_code in _REFUSED:
            raise Conflict(f"MLflow refused it ({error.error_code})") from error
        raise Unavailable("MLflow cannot be reached", retry_after=5) from error
    except Exception as error:  # its stores let their drivers' errors through
        raise Unavailable("MLflow cannot be reached", retry_after=5) from error
