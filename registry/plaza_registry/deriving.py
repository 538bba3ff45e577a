"""A bundle made of another one: the same but for its model, and a card that says so."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import yaml

from plaza_core.card import parse_card
from plaza_core.errors import Conflict
from plaza_core.manifest import MODEL_FILE
from plaza_registry.bundle import Bundle, open_plain
from plaza_registry.graph import read_outline

_OF_EITHER: Final[tuple[str, ...]] = (
    "name",
    "title",
    "family",
    "licence",
    "data",
    "intended_use",
    "out_of_scope",
)
"""What a card says that is as true of the derived model; all else was measured on the original."""


@dataclass(slots=True)
class Derived:
    """A bundle in the making; the card is its maker's."""

    directory: Path
    keep: bool = False
    """Set when it is good: else it is gone when the block ends."""


@contextmanager
def derived(source: Bundle, out: Path, model: BinaryIO) -> Iterator[Derived]:
    """A directory with the files of `source` and another model, which becomes `out` if it is kept.

    Raises Conflict where there is something at `out`. Weights beside the graph are left out: the
    new model has its own inside.
    """
    if out.exists():
        raise Conflict("there is something of that name already", input=str(out.name))
    outside = set(read_outline(source.directory / MODEL_FILE).external)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as place:
        made = Path(place) / "bundle"
        made.mkdir()
        for file in source.files:
            if file.path not in outside and file.path != MODEL_FILE:
                target = made / file.path
                target.parent.mkdir(exist_ok=True)
                with open_plain(source.directory, file.path) as content, target.open("xb") as copy:
                    shutil.copyfileobj(content, copy)
        model.seek(0)
        with (made / MODEL_FILE).open("xb") as copy:
            shutil.copyfileobj(model, copy)
        draft = Derived(made)
        yield draft
        if draft.keep:
            made.rename(out)


def derived_card(source: Bundle, facts: Mapping[str, Any], text: str) -> str:
    """The card of a bundle derived from `source`: what holds for both, then `facts`, then `text`,
    then what the original's card said, as said of the original."""
    card = parse_card(source.card)
    front = card.front.model_dump(mode="json", exclude_defaults=True)
    kept: dict[str, Any] = {name: front[name] for name in _OF_EITHER if name in front}
    before = {name: value for name, value in front.items() if name not in _OF_EITHER}
    head = {**kept, **facts}
    if before:
        head["of_the_original"] = before
    rule = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=100)
    said = f"\n# What was said of the original\n\n{card.body}" if card.body.strip() else ""
    return f"---\n{rule}---\n{text}{said}"
