"""Writes the JSON schemas of what people write: `python -m plaza_core.schemas contracts`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from plaza_core.card import Card
from plaza_core.manifest import Manifest

SCHEMAS: dict[str, type[BaseModel]] = {"bundle.schema.json": Manifest, "card.schema.json": Card}
"""File in `contracts/` -> the model that is in force."""


def main(directory: Path) -> None:
    for name, model in SCHEMAS.items():
        text = json.dumps(model.model_json_schema(), indent=2)
        (directory / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
