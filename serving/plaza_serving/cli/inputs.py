"""What people give to `plaza infer`: files and words, turned into arrays and series."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

import plaza
from plaza_core.tensors import NUMPY, DType

Array = NDArray[Any]


def named(options: Sequence[str]) -> dict[str, str]:
    """`name=value` options as a mapping."""
    pairs = [option.partition("=") for option in options]
    for name, sign, value in pairs:
        if not (name and sign and value):
            raise typer.BadParameter("expected name=@file.npy, name=@file.json or name=[…]")
    return {name: value for name, _, value in pairs}


def array(text: str) -> Array | Any:
    """An array of a `.npy` file, as it is; else the nested lists of a JSON file or literal."""
    try:
        if not text.startswith("@"):
            return json.loads(text)
        path = Path(text[1:])
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        return json.loads(path.read_text())
    except OSError as error:
        raise typer.BadParameter(f"{text[1:]}: {error.strerror}") from None
    except ValueError:
        raise typer.BadParameter(
            f"{text[:60]}: neither JSON nor an array without objects"
        ) from None


def typed(value: Any, name: str, known: Sequence[plaza.Tensor]) -> Array:
    """Nested lists as an array of the datatype that the model wants for input `name`."""
    spec = next((tensor for tensor in known if tensor.name == name), None)
    if spec is None:
        names = ", ".join(tensor.name for tensor in known)
        raise typer.BadParameter(f"the model has no input '{name}'; it has {names}")
    try:
        return np.array(value, NUMPY[DType(spec.datatype)])
    except (ValueError, TypeError, OverflowError):
        raise typer.BadParameter(f"input '{name}' must be an array of {spec.datatype}") from None


def series(path: Path, column: str | None) -> list[float | None]:
    """The numbers of one column of a CSV file, the last one unless named; None for an empty cell. A
    first row that is no number is a header. Raises PlazaError."""
    rows = _rows(path)
    header = rows[0] if column is not None or _is_word(rows[0][-1]) else None
    if column is not None and column not in rows[0]:
        raise _refused(f"no column '{column}'; it has {', '.join(rows[0])}", path)
    index = rows[0].index(column) if column is not None else -1
    first = 0 if header is None else 1
    if len(rows) == first:
        raise _refused("no rows", path)
    return [_number(row[index], at, path) for at, row in enumerate(rows[first:], first + 1)]


def _rows(path: Path) -> list[list[str]]:
    """Of equal length, by commas or semicolons. A line without anything is a cell without anything,
    but at the end of the file."""
    try:
        table = path.read_text(encoding="utf-8-sig").rstrip()
        mark = ";" if ";" in table.partition("\n")[0] else ","
        rows = [row or [""] for row in csv.reader(io.StringIO(table, newline=""), delimiter=mark)]
    except (UnicodeDecodeError, csv.Error):
        raise _refused("no CSV in UTF-8", path) from None
    if not rows:
        raise _refused("no rows", path)
    for at, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise _refused(f"row {at} has {len(row)} cells, the first {len(rows[0])}", path)
    return [[cell.strip() for cell in row] for row in rows]


def _number(cell: str, at: int, path: Path) -> float | None:
    try:
        value = float(cell) if cell else None
    except ValueError:
        value = math.nan
    if value is None or math.isfinite(value):
        return value
    raise _refused(f"row {at}: '{cell[:20]}' is no number", path)


def _is_word(cell: str) -> bool:
    try:
        float(cell or "0")
    except ValueError:
        return True
    return False


def _refused(message: str, path: Path) -> plaza.PlazaError:
    """The same code that the hub has for a table that it cannot read."""
    return plaza.PlazaError("invalid_input", message, input=str(path))


def text(path: Path) -> str:
    """What a file of text holds."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise _refused("no text in UTF-8", path) from None
