"""What was asked, as a fingerprint, and what was answered, sealed: both keyed by the API key.

Control's database keeps neither a request nor an answer that it could read: it stores no key's
text, and without that text a fingerprint cannot be searched for and an answer cannot be opened.
So even the answer that shows a new key once may be kept.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import orjson

from plaza_core.errors import IdempotencyNotKept
from plaza_core.idempotency import Place
from plaza_core.ids import KeyId, OrganisationId, RandomBytes, RequestId
from plaza_core.sealing import SealBrokenError, Sealer, derive
from plaza_serving.reply import Reply

_FINGERPRINT = "plaza idempotency: fingerprint"
_ANSWER = "plaza idempotency: answer"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that carries an Idempotency-Key. `target` is its path with its query; `meaning`
    the headers that change what the body says."""

    organisation: OrganisationId
    key: KeyId
    key_text: str
    name: str
    request_id: RequestId
    method: str
    target: str
    meaning: tuple[str, ...]
    body: bytes

    def fingerprint(self) -> str:
        """64 hexadecimal characters; equal for equal requests of one API key only."""
        head = orjson.dumps([self.method, self.target, *self.meaning])
        mac = hmac.new(derive(self.key_text.encode(), purpose=_FINGERPRINT), head, hashlib.sha256)
        mac.update(b"\n")
        mac.update(self.body)
        return mac.hexdigest()


def seal(asked: Asked, place: Place, reply: Reply, random: RandomBytes) -> bytes:
    head = orjson.dumps(
        [
            reply.media.decode("latin-1"),
            [[n.decode("latin-1"), v.decode("latin-1")] for n, v in reply.headers],
        ],
        option=orjson.OPT_APPEND_NEWLINE,
    )
    return _sealer(asked, place.token, random).seal(head + reply.body, _about(asked, reply.status))


def unseal(asked: Asked, token: str, status: int, sealed: bytes, random: RandomBytes) -> Reply:
    """The first reply. Raises IdempotencyNotKept for a record that was damaged."""
    try:
        plain = _sealer(asked, token, random).open(sealed, _about(asked, status))
    except SealBrokenError as error:
        raise IdempotencyNotKept("the kept answer cannot be read") from error
    head, _, body = plain.partition(b"\n")
    media, headers = orjson.loads(head)
    pairs = tuple((n.encode("latin-1"), v.encode("latin-1")) for n, v in headers)
    return Reply(status, media.encode("latin-1"), body, pairs)


def _sealer(asked: Asked, token: str, random: RandomBytes) -> Sealer:
    """A cipher key of its own for each answer."""
    secret = asked.key_text.encode()
    return Sealer(derive(secret, purpose=_ANSWER, salt=token.encode()), random)


def _about(asked: Asked, status: int) -> str:
    return f"{asked.organisation}|{asked.key}|{asked.name}|{status}"
