"""`CARD.md`: what a model is for, what it learnt from and how well it does.

YAML front matter for machines, then text for people; text alone is a card too. A card is outside
the digest of its bundle, so that it can be corrected: each correction is a new revision of the
version's card. JSON schema of the front matter: `contracts/card.schema.json` (tested equal).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from plaza_core.errors import InvalidBundle
from plaza_core.keys import holds_key
from plaza_core.manifest import CARD_FILE
from plaza_core.readable import explain, nearest
from plaza_core.yaml_text import load_mapping

CARD_BYTES = 256 * 1024
"""Longest card that is taken."""
_RULE = "---"
_TYPO = 0.8

_Line = Annotated[str, Field(max_length=500)]
_Text = Annotated[str, Field(max_length=10_000)]


class DataSource(BaseModel):
    """Data that a model learnt from or was measured on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Line
    title: _Line = ""
    licence: _Line = ""
    source: _Line = ""


class Metric(BaseModel):
    """One number and what it was measured on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float = Field(allow_inf_nan=False)
    split: _Text = Field(default="", description="what it was measured on; default: the card's")


def _as_metric(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"value": value} if number else value


def _as_source(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


_Metric = Annotated[Metric, BeforeValidator(_as_metric, json_schema_input_type=Metric | float)]
_Source = Annotated[
    DataSource, BeforeValidator(_as_source, json_schema_input_type=DataSource | str)
]


class Card(BaseModel):
    """The front matter. Facts of one's own are kept beside these fields, under other names."""

    model_config = ConfigDict(frozen=True, extra="allow")

    licence: _Line | None = Field(default=None, description="text, an SPDX name if there is one")
    data: list[_Source] = Field(default_factory=list, description="what it learnt from")
    split: _Text = Field(default="", description="what the metrics were measured on")
    metrics: dict[str, _Metric] = Field(default_factory=dict, max_length=500)
    intended_use: _Text | None = None
    out_of_scope: _Text | None = None

    def measured(self) -> dict[str, Metric]:
        """The metrics, each with its split."""
        return {
            name: metric if metric.split else Metric(value=metric.value, split=self.split)
            for name, metric in self.metrics.items()
        }


@dataclass(frozen=True, slots=True)
class CardText:
    """A card taken apart. `front` is empty where there is no front matter."""

    front: Card
    body: str


def parse_card(text: str) -> CardText:
    """Raises InvalidBundle naming the field of the front matter that is wrong."""
    first, _, rest = text.partition("\n")
    if first.rstrip() != _RULE:
        return CardText(Card(), text)
    head, body = _split(rest)
    return CardText(card_from(load_mapping(head, name=CARD_FILE) if head.strip() else {}), body)


def card_from(data: Mapping[str, Any]) -> Card:
    """Front matter that was read already. Raises InvalidBundle as `parse_card` does."""
    for name in data:
        meant = nearest(name, Card.model_fields, cutoff=_TYPO)
        if name not in Card.model_fields and meant is not None and meant not in data:
            where = f"{CARD_FILE}: {name[:60]}"
            raise InvalidBundle(f"there is no such field; did you mean '{meant}'?", input=where)
    try:
        return Card.model_validate(data)
    except ValidationError as error:
        where, what = explain(error, Card)
        raise InvalidBundle(what, input=f"{CARD_FILE}: {where}") from None


def valid_card(text: str) -> str:
    """`text` if it may be kept as a card. Raises InvalidBundle saying why not."""
    if len(text.encode()) > CARD_BYTES:
        raise InvalidBundle(f"more than {CARD_BYTES // 1024} KiB of text", input=CARD_FILE)
    if holds_key(text):
        raise InvalidBundle("there is an API key in it; take it out and revoke it", input=CARD_FILE)
    parse_card(text)
    return text


def read_card(text: str) -> CardText:
    """`parse_card` for cards that are kept already: a wrong front matter is text like the rest."""
    try:
        return parse_card(text)
    except InvalidBundle:
        return CardText(Card(), text)


def _split(rest: str) -> tuple[str, str]:
    lines = rest.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.rstrip() == _RULE:
            return "".join(lines[:number]), "".join(lines[number + 1 :]).lstrip("\n")
    raise InvalidBundle(
        "the front matter does not end: a line of '---' is missing", input=CARD_FILE
    )
