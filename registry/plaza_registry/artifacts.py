"""Files that somebody logged to MLflow, read as bytes from the one place that is configured.

Accepted are artifacts that the configured server hands out (`mlflow-artifacts:`) and files below a
directory that the operator named. An address that leads anywhere else is refused, whoever wrote it:
what MLflow stores is what its users sent. Nothing is unpacked, loaded or followed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from plaza_core.errors import InvalidInput, NotFound, Unavailable
from plaza_registry.mlflow_client import translated

_CHUNK = 1 << 20
_ENDPOINT = "/api/2.0/mlflow-artifacts/artifacts/"
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@=+-]{0,254}")


class Artifacts(Protocol):
    """One directory of artifacts."""

    def read(self, name: str) -> Iterator[bytes]:
        """The chunks of the file `name`, which is in the directory itself. Raises NotFound,
        InvalidInput for a name that is none, Unavailable."""


def open_artifacts(location: str, *, server: str, root: Path | None) -> Artifacts:
    """The directory at `location`. Raises InvalidInput for a place that is not allowed."""
    where = urlsplit(location)
    if where.query or where.fragment:
        raise _refused("it has a query")
    if where.scheme == "mlflow-artifacts":
        if where.netloc:
            raise _refused("it names a host of its own")
        if urlsplit(server).scheme not in {"http", "https"}:
            raise _refused("the configured MLflow has no server to ask")
        return ServedArtifacts(server, _segments(unquote(where.path)))
    if where.scheme in {"", "file"} and where.netloc in {"", "localhost"}:
        path = unquote(where.path) if where.scheme == "file" else where.path
        if root is None:
            raise _refused("it is a file, and no directory for that is configured")
        return LocalArtifacts(root, path)
    raise _refused(f"its kind is '{where.scheme}'")


class ServedArtifacts:
    """Through the proxy of MLflow's server, with the credentials that its client would use."""

    def __init__(self, server: str, folder: list[str]) -> None:
        self._server = server
        self._folder = folder

    def read(self, name: str) -> Iterator[bytes]:
        path = "/".join(quote(part, safe="") for part in [*self._folder, _file_name(name)])
        with translated():
            from mlflow.utils.credentials import get_default_host_creds
            from mlflow.utils.rest_utils import http_request

            answer = http_request(
                get_default_host_creds(self._server.rstrip("/")),
                _ENDPOINT + path,
                "GET",
                raise_on_status=False,
                stream=True,
                allow_redirects=False,
            )
            with answer:
                if answer.status_code == 404:
                    raise NotFound("MLflow does not have this file", input=name)
                if answer.status_code != 200:
                    raise Unavailable("MLflow does not hand the file out", retry_after=5)
                yield from answer.iter_content(_CHUNK)


class LocalArtifacts:
    """Below `root`. Every step is opened by name in the directory before it; no link is followed,
    and a file with a second name is refused: it may be somebody else's."""

    def __init__(self, root: Path, path: str) -> None:
        self._root = root
        for base in (str(root), str(root.resolve())):
            if path.startswith(base.rstrip("/") + "/"):
                self._folder = _segments(path[len(base) :])
                return
        raise _refused("it lies outside the configured directory")

    def read(self, name: str) -> Iterator[bytes]:
        with self._opened(_file_name(name)) as handle:
            while chunk := os.read(handle, _CHUNK):
                yield chunk

    @contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        with ExitStack() as open_now:
            try:
                here = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
                open_now.callback(os.close, here)
                for part in self._folder:
                    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                    here = os.open(part, flags, dir_fd=here)
                    open_now.callback(os.close, here)
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
                handle = os.open(name, flags, dir_fd=here)
                open_now.callback(os.close, handle)
            except FileNotFoundError:
                raise NotFound("MLflow does not have this file", input=name) from None
            except OSError:
                raise _refused("there is a link on the way to it") from None
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
                raise _refused("it is not a plain file")
            yield handle


def _segments(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part]
    if not parts or not all(_FOLDER.fullmatch(part) for part in parts):
        raise _refused("its path is unsafe")
    return parts


def _file_name(name: str) -> str:
    if not _FILE.fullmatch(name):
        raise InvalidInput("an unsafe name of a file in what was logged", input=name[:200])
    return name


def _refused(why: str) -> InvalidInput:
    return InvalidInput(
        f"the hub does not fetch from where MLflow keeps this: {why}", input="source"
    )
