"""The plain sentences that the embedder learns from, none of which it is measured on.

WordNet: what words mean, and how they are used     BANKING77, CLINC150: how people ask
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from plaza_training.text.sts import plain


def read_wordnet(folder: Path) -> list[str]:
    """Examples of use, then definitions; each once, sorted."""
    examples: set[str] = set()
    definitions: set[str] = set()
    for path in sorted(folder.glob("*.yaml")):
        with path.open(encoding="utf-8") as file:
            synsets: dict[str, Any] = yaml.load(file, Loader=_loader())  # noqa: S506  safe ones both
        for synset in synsets.values():
            definitions.update(synset["definition"])
            # An example that is a quotation has its source beside it.
            found = synset.get("example", ())
            examples.update(one if isinstance(one, str) else one["text"] for one in found)
    return sorted(examples) + sorted(definitions)


def sample(texts: Sequence[str], count: int) -> list[str]:
    """`count` of them by lot; always the same ones."""
    order = np.random.default_rng(0).permutation(len(texts))
    return [texts[i] for i in order[:count]]


def not_measured(texts: Iterable[str], measured: frozenset[str]) -> tuple[str, ...]:
    """Each text once, without those that are among `measured`, written as `plain` writes them."""
    return tuple(text for text in dict.fromkeys(texts) if plain(text) not in measured)


def _loader() -> Any:
    """The safe loader in C where PyYAML has it: seven times as fast."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
