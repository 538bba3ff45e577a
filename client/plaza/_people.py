"""Verbs about people and the lives of keys: members; keys that rotate and expire."""

from __future__ import annotations

from plaza._admin import Role, _call, _many, _one
from plaza._http import JSON_TYPE, Call, json_body, path_of
from plaza.records import Key, Member, NewKey, NewLogin


def _path(organisation: str, *more: str) -> str:
    return "/organisations" + path_of(organisation, *more)


def rotate_key(organisation: str, key: str, *, overlap_s: int = 86_400) -> Call[NewKey]:
    """A new key with the same role, label, project and limits; its text is in the answer and
    nowhere else. The old one goes on for `overlap_s` seconds and then expires."""
    path = _path(organisation, "keys", key, "rotate")
    return _call("POST", path, _one(NewKey), body={"overlap_s": overlap_s})


def set_key_expiry(organisation: str, key: str, *, expires_in_s: int | None) -> Call[Key]:
    """When the key ends by itself, from now on; None: never."""
    body = {"expires_in_s": expires_in_s, "never": True if expires_in_s is None else None}
    return _call("PUT", _path(organisation, "keys", key, "expiry"), _one(Key), body=body)


def add_member(
    organisation: str, email: str, *, role: Role, project: str | None = None
) -> Call[Member]:
    """Invite somebody: who logs in first with this e-mail, verified, becomes the member."""
    body = {"email": email, "role": role, "project": project}
    return _call("POST", _path(organisation, "members"), _one(Member), body=body)


def list_members(organisation: str) -> Call[list[Member]]:
    """Newest first, removed ones included."""
    return _call("GET", _path(organisation, "members"), _many(Member))


def set_member_role(organisation: str, member: str, role: Role) -> Call[Member]:
    path = _path(organisation, "members", member)
    return _call("PATCH", path, _one(Member), body={"role": role})


def remove_member(organisation: str, member: str) -> Call[Member]:
    """At once, in every browser. Removing twice changes nothing."""
    return _call("DELETE", _path(organisation, "members", member), _one(Member))


def end_login() -> Call[None]:
    """Log out, where the key is the token of a login."""
    return Call("control", "POST", "/auth/logout", lambda _: None)


def finish_login(code: str, verifier: str) -> Call[NewLogin]:
    """A session for a command line, once a browser has vouched for it (`plaza login`)."""
    body = json_body({"code": code, "verifier": verifier})
    return Call("control", "POST", "/auth/cli/redeem", _one(NewLogin), {}, JSON_TYPE, body)
