"""The S3 connection: where the bucket is, how long anything may take, what its errors mean.

The only file that imports minio. Every request is bounded: two seconds to connect, ten without a
byte, one repetition. Keys come from a file, so that no environment and no process list shows them.
"""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error
from urllib3.exceptions import HTTPError

from plaza_core.errors import BadRequest, NotFound, Unavailable
from plaza_core.settings import Settings

_PLACE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9._/-]*))?")
_CODE = re.compile(r"<Code>([A-Za-z0-9]+)</Code>")
_ABSENT = frozenset({"NoSuchKey", "NoSuchUpload", "NoSuchObject"})
_REFUSED = frozenset({"AccessDenied", "SignatureDoesNotMatch", "InvalidAccessKeyId"})
_CONNECT_S, _READ_S = 2.0, 10.0
_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class S3Place:
    """A prefix in a bucket and how to reach it. Endpoints are `http://host:port` or `https://…`."""

    bucket: str
    prefix: str
    endpoint: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    def client(self, http: urllib3.PoolManager | None = None) -> Minio:
        """A client of this place. Connects to nothing yet; not shared between processes."""
        address = urlsplit(self.endpoint)
        return Minio(
            address.netloc,
            self.access_key,
            self.secret_key,
            secure=address.scheme == "https",
            region=self.region,  # named, so that the SDK need not ask the server for it
            http_client=http or connections(),
        )


def place_of(settings: Settings) -> S3Place:
    """Where the settings put blobs. Raises BadRequest naming the setting that is wrong."""
    match = _PLACE.fullmatch(settings.blobs or "")
    if match is None:
        raise BadRequest("expected s3://BUCKET or s3://BUCKET/PREFIX", input="blobs")
    if urlsplit(settings.s3_endpoint).scheme not in {"http", "https"}:
        raise BadRequest("expected http://HOST:PORT or https://HOST", input="s3_endpoint")
    prefix = (match[2] or "").strip("/")
    keys = _keys(settings.s3_keys_file)
    return S3Place(
        bucket=match[1],
        prefix=f"{prefix}/" if prefix else "",
        endpoint=settings.s3_endpoint.rstrip("/"),
        region=settings.s3_region,
        access_key=keys["access_key"],
        secret_key=keys["secret_key"],
    )


def _keys(path: Path | None) -> dict[str, str]:
    """`access_key = "…"` and `secret_key = "…"`, in a file that only its owner reads."""
    if path is None:
        raise BadRequest("name the file with the keys of the bucket", input="s3_keys_file")
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BadRequest("others may read this file; make it mode 0600", input="s3_keys_file")
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise BadRequest("cannot be read, or is not TOML", input="s3_keys_file") from None
    if set(found) != {"access_key", "secret_key"} or not all(
        isinstance(value, str) and value for value in found.values()
    ):
        raise BadRequest('expected access_key = "…" and secret_key = "…"', input="s3_keys_file")
    return found


def connections() -> urllib3.PoolManager:
    """Connections with bounds: a store that hangs must not hold a registration for long."""
    return urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=_CONNECT_S, read=_READ_S),
        maxsize=4,
        retries=urllib3.Retry(
            total=1, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504), redirect=0
        ),
    )


@contextmanager
def translated(what: str | None = None) -> Iterator[None]:
    """Errors of the SDK and its transport as ours: NotFound naming `what`, or Unavailable."""
    try:
        yield
    except (MinioException, HTTPError, OSError) as error:
        code = _code(error)
        if code in _ABSENT:
            raise NotFound("no such blob", input=what) from None
        raise Unavailable(_reason(code), retry_after=_AGAIN_S) from error
    except (ValueError, SyntaxError) as error:  # a body that is no XML, or not of this shape
        raise Unavailable(_reason(None), retry_after=_AGAIN_S) from error


def _reason(code: str | None) -> str:
    if code in _REFUSED:
        return "the blob store refuses the hub's keys"
    if code == "NoSuchBucket":
        return "the bucket of the blob store does not exist"
    return "the blob store cannot be reached now"


def _code(error: Exception) -> str | None:
    """The S3 error code, also of an answer that the SDK does not take for S3's."""
    if isinstance(error, S3Error):
        return str(error.code)
    if isinstance(error, InvalidResponseError):
        found = _CODE.search(str(error))
        return found[1] if found else None
    return None
