"""Blobs in an S3 bucket: `<prefix>sha256/<digest>`, for any server that speaks S3.

    chunks ──hash──▶ incoming/<random> ──read back, hash──▶ copy on the server ──▶ sha256/<digest>

Nothing stands at a content key before every byte was read back and found right, whatever the server
checks by itself. Every step may be repeated. A writer that dies leaves something under `incoming/`,
which `remove_abandoned` finds; unfinished multipart uploads too.
"""

from __future__ import annotations

import hashlib
import io
import logging
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import BinaryIO
from xml.etree import ElementTree as Xml

import urllib3
from minio.commonconfig import CopySource
from urllib3.response import BaseHTTPResponse

from plaza_core.errors import InvalidInput, NotFound, PayloadTooLarge, Unavailable
from plaza_core.ids import Digest, valid_digest
from plaza_registry.s3 import S3Place, translated
from plaza_registry.verified import checked

_log = logging.getLogger(__name__)

PART_BYTES = 8 << 20
"""Content longer than this goes up in parts of this size; at most two are in memory."""
_BLOCK = 1 << 20


class S3Blobs:
    """BlobStore in a bucket. Thread-safe. Every method raises Unavailable while S3 is away."""

    def __init__(
        self,
        place: S3Place,
        *,
        part_bytes: int = PART_BYTES,
        http: urllib3.PoolManager | None = None,
    ) -> None:
        self._part_bytes = part_bytes
        self._bucket = place.bucket
        self._content = f"{place.prefix}sha256/"
        self._incoming = f"{place.prefix}incoming/"
        self._client = place.client(http)

    def check(self) -> None:
        """Raises Unavailable, saying why, when nothing could be stored now."""
        with translated():
            if not self._client.bucket_exists(self._bucket):
                raise Unavailable("the bucket of the blob store does not exist", retry_after=5)

    def probe(self) -> None:
        """Write, read and delete something: are the keys good for all of it?"""
        key = self._incoming + secrets.token_hex(16)
        with translated():
            self._client.put_object(self._bucket, key, io.BytesIO(b"probe"), 5)
            same = self._read_back(key) == hashlib.sha256(b"probe").hexdigest()
            self._client.remove_object(self._bucket, key)
        if not same:
            raise Unavailable("the blob store gives back other bytes than it was given")

    def put(self, chunks: Iterable[bytes], *, limit: int) -> tuple[Digest, int]:
        """Store and return (sha256, size). Raises PayloadTooLarge at the first byte too many."""
        key = self._incoming + secrets.token_hex(16)
        stream = _Counted(chunks, limit)
        try:
            with translated():
                self._client.put_object(
                    self._bucket,
                    key,
                    stream,
                    -1,
                    part_size=self._part_bytes,
                    num_parallel_uploads=1,
                )
                digest = stream.digest()
                if self._read_back(key) != digest:
                    raise Unavailable("the upload was damaged on its way; send it again")
                source = CopySource(self._bucket, key)
                self._client.copy_object(self._bucket, self._key(digest), source)
        except _SenderFailed as failed:
            raise failed.reason from None
        finally:
            self._forget(key)
        return digest, stream.size

    def open(self, sha256: Digest) -> BinaryIO:
        """Raises NotFound; reading it to the end raises Unavailable when it is damaged."""
        with translated(sha256):
            answer = self._client.get_object(self._bucket, self._key(sha256))
        return checked(_Body(answer), sha256)

    def exists(self, sha256: Digest) -> bool:
        try:
            with translated(sha256):
                self._client.stat_object(self._bucket, self._key(sha256))
        except NotFound:
            return False
        return True

    def delete(self, sha256: Digest) -> None:
        with suppress(NotFound), translated(sha256):
            self._client.remove_object(self._bucket, self._key(sha256))

    def digests(self) -> Iterator[Digest]:
        """Every content key; what else lies there is not ours and not named."""
        for key, _ in self._listed(self._content):
            with suppress(InvalidInput):
                yield valid_digest(key.removeprefix(self._content))

    def remove_abandoned(self, before_unix_us: int) -> int:
        """Delete what unfinished writes of before then have left; return how many."""
        removed = 0
        for key, touched in self._listed(self._incoming):
            if _unix_us(touched) < before_unix_us:
                with suppress(NotFound), translated():
                    self._client.remove_object(self._bucket, key)
                removed += 1
        for key, upload, begun in self._unfinished():
            if _unix_us(begun) < before_unix_us:
                with suppress(NotFound):
                    self._ask("DELETE", key, {"uploadId": upload})
                removed += 1
        return removed

    def _key(self, sha256: Digest) -> str:
        valid_digest(sha256)  # also keeps a digest from the wire from naming any other key
        return self._content + sha256

    def _read_back(self, key: str) -> str:
        """The digest of what the server holds."""
        body = _Body(self._client.get_object(self._bucket, key))
        digest = hashlib.sha256()
        try:
            while block := body.read(_BLOCK):
                digest.update(block)
        finally:
            body.close()
        return digest.hexdigest()

    def _forget(self, key: str) -> None:
        try:
            with translated():
                self._client.remove_object(self._bucket, key)
        except (NotFound, Unavailable) as error:
            _log.info("a temporary object stays until it is cleared: %s", error.message)

    def _listed(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """(key, last changed) of what is under a prefix. Some servers deny an empty prefix."""
        with suppress(NotFound), translated():
            for found in self._client.list_objects(self._bucket, prefix, recursive=True):
                if found.last_modified is not None:
                    yield str(found.object_name), found.last_modified

    def _unfinished(self) -> Iterator[tuple[str, str, datetime]]:
        """(key, upload id, begun) of each multipart upload under `incoming/`, a page at a time."""
        query = {"uploads": "", "prefix": self._incoming}
        while True:
            try:
                page = self._ask("GET", None, query)
            except NotFound:  # some servers say so when there are none
                return
            for upload in page.iterfind("{*}Upload"):
                key, begun = upload.findtext("{*}Key", ""), upload.findtext("{*}Initiated", "")
                if key.startswith(self._incoming):
                    yield key, upload.findtext("{*}UploadId", ""), datetime.fromisoformat(begun)
            if page.findtext("{*}IsTruncated") != "true":
                return
            query["key-marker"] = page.findtext("{*}NextKeyMarker", "")
            query["upload-id-marker"] = page.findtext("{*}NextUploadIdMarker", "")

    def _ask(self, method: str, key: str | None, query: dict[str, str]) -> Xml.Element:
        """A request that the SDK has no public verb for: those about unfinished uploads. It has a
        private one, which reads an answer only where that names S3's XML namespace."""
        with translated():
            answer = self._client._execute(method, self._bucket, key, query_params=dict(query))  # noqa: SLF001 see above
            return Xml.fromstring(answer.data) if answer.data else Xml.Element("Nothing")  # noqa: S314 our own store


class _SenderFailed(Exception):
    """The chunks ended in an error, which is their owner's and none of S3's."""

    def __init__(self, reason: Exception) -> None:
        super().__init__()
        self.reason = reason


class _Counted(io.RawIOBase):
    """Chunks as a stream that the SDK reads: counted against a limit and hashed on the way."""

    def __init__(self, chunks: Iterable[bytes], limit: int) -> None:
        self._chunks = iter(chunks)
        self._limit = limit
        self._digest = hashlib.sha256()
        self._waiting = b""
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end alone."""
        while not self._waiting:
            try:
                chunk = next(self._chunks)
            except StopIteration:
                return b""
            except Exception as error:
                raise _SenderFailed(error) from error
            self.size += len(chunk)
            if self.size > self._limit:
                raise PayloadTooLarge(f"more than {self._limit} bytes")
            self._digest.update(chunk)
            self._waiting = chunk
        size = len(self._waiting) if size < 0 else size
        head, self._waiting = self._waiting[:size], self._waiting[size:]
        return head

    def digest(self) -> Digest:
        return Digest(self._digest.hexdigest())


class _Body:
    """The body of an answer: its errors are ours, and closing gives the connection back."""

    def __init__(self, answer: BaseHTTPResponse) -> None:
        self._answer = answer

    def read(self, size: int, /) -> bytes:
        with translated():
            return self._answer.read(size)

    def close(self) -> None:
        self._answer.close()
        self._answer.release_conn()


def _unix_us(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)
