"""The plain sentences that the embedder learns from, none of which it is measured on.

WordNet: what words mean, and how they are used     BANKING77, CLINC150: how people ask
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from plaza_training.text.sts import plain


def read_wordnet(folder: Path) -> list[str]:
    """Definitions and examples of use, each once, in the order of the files."""
    found: dict[str, None] = {}
    for path in sorted(folder.glob("*.yaml")):
        with path.open(encoding="utf-8") as file:
            synsets: dict[str, Any] = yaml.load(file, Loader=_loader())  # noqa: S506  safe ones both
        for synset in synsets.values():
            found.update(dict.fromkeys(_sentences(synset)))
    return list(found)


def not_measured(texts: Iterable[str], measured: frozenset[str]) -> tuple[str, ...]:
    """Each text once, without those that are among `measured`, written as `plain` writes them."""
    return tuple(text for text in dict.fromkeys(texts) if plain(text) not in measured)


def _sentences(synset: dict[str, Any]) -> Iterator[str]:
    yield from synset["definition"]
    for example in synset.get("example", ()):
        # An example that is a quotation has its source beside it.
        yield example if isinstance(example, str) else example["text"]


def _loader() -> Any:
    """The safe loader in C where PyYAML has it: seven times as fast."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
