"""Verbs of cards in control's admin API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plaza._admin import _call, _many, _one
from plaza._http import Call, path_of


@dataclass(frozen=True, slots=True)
class Card:
    """What the card of a version says from one moment on. Revision 1 came with the bundle;
    `facts` is the front matter, each metric with its split."""

    version: int
    revision: int
    text: str = field(repr=False)
    facts: Mapping[str, Any]
    created_unix_us: int
    created_by: str


def cards(name: str, version: int, *, organisation: str | None = None) -> Call[list[Card]]:
    """Every revision of a version's card, newest first."""
    return _call("GET", _place(name, version), _many(Card), organisation=organisation)


def set_card(
    name: str, version: int, card: str | Path, *, organisation: str | None = None
) -> Call[Card]:
    """Correct a version's card, by its text or a file with it. The same again changes nothing."""
    text = card.read_text(encoding="utf-8") if isinstance(card, Path) else card
    body = {"text": text}
    return _call("PUT", _place(name, version), _one(Card), body=body, organisation=organisation)


def _place(name: str, version: int) -> str:
    return "/models" + path_of(name, "versions", version, "card")
