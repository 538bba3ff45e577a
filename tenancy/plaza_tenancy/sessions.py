"""Sessions: a person's login in one browser, kept as a MAC, and what they may be with it.

    pls_<id, 17 base62>_<secret, 43 base62 = 256 bits>

Memberships are looked up at every use, so that removing a member works at once. MACs of sessions
and tokens against forged requests have keys of their own, derived from the node's pepper.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from sqlalchemy import delete, update

from plaza_core.errors import Unauthenticated
from plaza_core.ids import base62
from plaza_tenancy.access import member_principal, standing_members
from plaza_tenancy.schema import MemberRow, OrganisationRow, ProjectRow, SessionRow
from plaza_tenancy.store import Store
from plaza_tenancy.views import Login, NewSession, Person

_FORM = re.compile(r"pls_([0-9A-Za-z]{17})_([0-9A-Za-z]{43})")
_KEPT_US = 86_400_000_000
"""How long an ended session stays, for whoever asks what happened."""


class Sessions:
    def __init__(self, store: Store, pepper: bytes) -> None:
        self._store = store
        self._mac_key = _derive(pepper, "sessions")
        self._csrf_key = _derive(pepper, "requests of sessions")

    def open(self, person: Person, *, lifetime_us: int) -> NewSession:
        """A session of a person who has just proved who they are."""
        now = self._store.clock.unix_us()
        identity = base62(int.from_bytes(self._store.random(12), "big"), 17)
        secret = base62(int.from_bytes(self._store.random(32), "big"), 43)
        with self._store.append_everything() as session:
            session.execute(delete(SessionRow).where(SessionRow.expires < now - _KEPT_US))
            session.add(
                SessionRow(
                    id=identity,
                    mac=_mac(self._mac_key, secret),
                    issuer=person.issuer,
                    subject=person.subject,
                    email=person.email,
                    created=now,
                    expires=now + lifetime_us,
                )
            )
        return NewSession(identity, f"pls_{identity}_{secret}", now + lifetime_us)

    def known(self, person: Person) -> bool:
        """Whether the person is a member of anything."""
        query = standing_members(
            MemberRow.issuer == person.issuer, MemberRow.subject == person.subject
        )
        with self._store.read_everything() as session:
            return session.execute(query).first() is not None

    def find(self, text: str) -> Login:
        """Who a cookie belongs to. Raises Unauthenticated: unknown, expired, logged out."""
        match = _FORM.fullmatch(text)
        now = self._store.clock.unix_us()
        with self._store.read_everything() as session:
            row = session.get(SessionRow, match[1]) if match else None
            if (
                match is None
                or row is None
                or not hmac.compare_digest(_mac(self._mac_key, match[2]), row.mac)
                or row.revoked is not None
                or row.expires <= now
            ):
                raise Unauthenticated("this session has ended; log in again", input="cookie")
            query = standing_members(
                MemberRow.issuer == row.issuer, MemberRow.subject == row.subject
            ).order_by(
                OrganisationRow.name,
                MemberRow.project.is_not(None),
                ProjectRow.name,
                MemberRow.created.desc(),
            )
            members = [member_principal(*found) for found in session.execute(query)]
        return Login(
            session=row.id,
            person=Person(row.issuer, row.subject, row.email),
            csrf=_mac(self._csrf_key, row.id),
            expires_unix_us=row.expires,
            memberships=tuple(members),
        )

    def close(self, session_id: str) -> None:
        """Log out, for good. Closing twice changes nothing."""
        with self._store.append_everything() as session:
            session.execute(
                update(SessionRow)
                .where(SessionRow.id == session_id, SessionRow.revoked.is_(None))
                .values(revoked=self._store.clock.unix_us())
            )


def _derive(pepper: bytes, use: str) -> bytes:
    return hmac.new(pepper, f"plaza: {use}".encode(), hashlib.sha256).digest()


def _mac(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
