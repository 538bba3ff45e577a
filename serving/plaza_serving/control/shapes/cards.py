"""Bodies of the routes about cards."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from plaza_core.card import CARD_BYTES, read_card
from plaza_core.ports import CardRevision
from plaza_serving.control.shapes.base import Answer, Taken, example


class CardText(Taken):
    model_config = example(text="---\nlicence: MIT\nmetrics: {accuracy: 0.93}\n---\n# Cars\n")

    text: str = Field(max_length=CARD_BYTES, description="The whole CARD.md, as a bundle has it.")


class CardAnswer(Answer):
    """One revision. `facts` is its front matter, each metric with its split."""

    version: int
    revision: int
    text: str
    facts: dict[str, Any]
    created_unix_us: int
    created_by: str

    @classmethod
    def of(cls, card: CardRevision) -> CardAnswer:
        front = read_card(card.text).front
        facts = front.model_dump(mode="json", exclude_defaults=True)
        if front.metrics:
            facts["metrics"] = {n: m.model_dump(mode="json") for n, m in front.measured().items()}
        return cls(
            version=card.version,
            revision=card.revision,
            text=card.text,
            facts=facts,
            created_unix_us=card.created_unix_us,
            created_by=card.created_by,
        )
