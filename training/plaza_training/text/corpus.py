"""The plain sentences that the embedder learns from, none of which it is measured on.

WordNet: what words mean, and how they are used     BANKING77, CLINC150: how people ask
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import yaml

from plaza_training.text.sts import plain

_PLAIN = re.compile(r"(- |  )[A-Za-z(][^:#]*[^:#\s]$")
"""A line of text that YAML reads as it stands."""


def read_wordnet(folder: Path) -> list[str]:
    """Examples of use, then definitions; each once, sorted."""
    found: dict[str, set[str]] = {"definition": set(), "example": set()}
    for path in sorted(folder.glob("*.yaml")):
        for field, lines in _lists(path.read_text(encoding="utf-8").splitlines()):
            found[field].update(_sentences(lines))
    return sorted(found["example"]) + sorted(found["definition"])


def _lists(lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """The lists of definitions and examples, as lines of YAML. To read 23 MB as YAML takes a
    minute, and most of it is not wanted."""
    field, kept = "", list[str]()
    for line in chain(lines, ("end:",)):
        if not line.startswith(("  - ", "    ")):
            if kept:
                yield field, kept
            kept = []
            field = line.strip().rstrip(":") if line.startswith("  ") else ""
        elif field in {"definition", "example"}:
            kept.append(line[2:])


def _sentences(lines: Sequence[str]) -> Iterator[str]:
    if all(_PLAIN.match(line) for line in lines):
        yield from _plain(lines)
        return
    for one in yaml.safe_load("\n".join(lines)):
        # An example that is a quotation has its source beside it.
        yield one if isinstance(one, str) else one["text"]


def _plain(lines: Sequence[str]) -> list[str]:
    """Items without quotes or colons; what is indented goes on with the one before."""
    items: list[str] = []
    for line in lines:
        if line.startswith("- "):
            items.append(line[2:])
        else:
            items[-1] += f" {line.strip()}"
    return items


def sample(texts: Sequence[str], count: int) -> list[str]:
    """`count` of them by lot; always the same ones."""
    order = np.random.default_rng(0).permutation(len(texts))
    return [texts[i] for i in order[:count]]


def not_measured(texts: Iterable[str], measured: frozenset[str]) -> tuple[str, ...]:
    """Each text once, without those that are among `measured`, written as `plain` writes them."""
    return tuple(text for text in dict.fromkeys(texts) if plain(text) not in measured)
