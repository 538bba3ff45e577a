"""Which sets there are, by name."""

from __future__ import annotations

from difflib import get_close_matches

from plaza_training.data import forecasting, pictures, sentences
from plaza_training.data.dataset import DataSet
from plaza_training.data.errors import UnknownData

SETS: dict[str, DataSet] = {
    entry.name: entry
    for module in (forecasting, pictures, sentences)
    for entry in vars(module).values()
    if isinstance(entry, DataSet)
}


def find(name: str) -> DataSet:
    """Raises UnknownData naming those with similar names, or all."""
    if name not in SETS:
        near = get_close_matches(name, SETS, n=3) or sorted(SETS)
        raise UnknownData(f"no data set '{name}'; there are: {', '.join(near)}", input="name")
    return SETS[name]
