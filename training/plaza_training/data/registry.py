"""Which sets there are, by name: `sets.toml` with the lists of files beside it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.resources import files
from typing import Any

from plaza_training.data.dataset import DataSet, Split, Table, listed
from plaza_training.data.errors import UnknownData

_SHEET = "sets.toml"


def _set(name: str, facts: dict[str, Any]) -> DataSet:
    """Raises TypeError for a fact that sets do not have."""
    tables = tuple(_table(**table) for table in facts.pop("tables", ()))
    splits = tuple(Split(**split) for split in facts.pop("splits", ()))
    return DataSet(name=name, files=listed(name), tables=tables, splits=splits, **facts)


def _table(columns: Sequence[str] = (), **facts: Any) -> Table:
    if isinstance(columns, str):  # V1..V9
        columns = [f"V{number + 1}" for number in range(int(columns.removeprefix("V1..V")))]
    return Table(columns=tuple(columns), **facts)


SETS: dict[str, DataSet] = {
    name: _set(name, facts)
    for name, facts in tomllib.loads(
        files(__package__).joinpath(_SHEET).read_text(encoding="utf-8")
    ).items()
}


def find(name: str) -> DataSet:
    """Raises UnknownData naming those with similar names, or all."""
    if name not in SETS:
        near = get_close_matches(name, SETS, n=3) or sorted(SETS)
        raise UnknownData(f"no data set '{name}'; there are: {', '.join(near)}", input="name")
    return SETS[name]
