"""Files that `plaza infer forecast` reads: a table in CSV, or JSON as `/v1/forecast` takes it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import plaza

TIME = "time"
_UNNAMED = "value"
_Numbers = Annotated[list[float | None], Field(min_length=1)]


class Asked(BaseModel):
    """A JSON file: the fields of the endpoint, under their names there."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    values: _Numbers | None = None
    series: Annotated[list[_Numbers], Field(min_length=1)] | None = None
    known: list[Annotated[list[float], Field(min_length=1)]] | None = None
    horizon: Annotated[int, Field(ge=1)] | None = None
    quantiles: list[float] | None = None
    model: str | None = None
    version: int | str | None = None

    @model_validator(mode="after")
    def _either(self) -> Asked:
        if (self.values is None) == (self.series is None):
            raise ValueError
        return self

    def over(self, **said: Any) -> Asked:
        """What is said elsewhere goes before what the file says."""
        return self.model_copy(update={name: one for name, one in said.items() if one is not None})


_SAID = {
    "value_error": "send either values or series",
    "model_type": "the file must hold a JSON object",
    "extra_forbidden": "this command sends no such field",
}


def asked(path: Path) -> Asked:
    """Raises PlazaError, which names the field, or else the file."""
    try:
        return Asked.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        kind = first["type"]
        code = "malformed_request" if kind == "json_invalid" else "invalid_input"
        where = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in first["loc"])
        field = "values" if kind == "value_error" else where.removeprefix(".") or str(path)
        raise plaza.PlazaError(code, _SAID.get(kind, first["msg"]), input=field) from None


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows of cells, each as long as the header, oldest first."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def single(self) -> list[float | None] | None:
        """The numbers of the only column, None for an empty cell; None where there are more, or
        times beside it."""
        if len(self.header) > 1:
            return None
        return [float(cell) if cell else None for (cell,) in self.rows]

    def csv(self) -> str:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([self.header, *self.rows])
        return out.getvalue()


def sheet(path: Path, columns: Sequence[str], known: Sequence[str]) -> Sheet:
    """A table with a header, whole; or the series `columns` of it alone, with the covariates
    `known` and the times where there are several. Of one without a header the last column. A first
    row that ends in a number is no header, unless it says `time`, or columns are named; a first
    column of times is `time` whatever its name. Raises PlazaError."""
    header, *rows = _rows(path)
    if not (columns or TIME in header or _is_word(header[-1])):
        bare = [header[-1:], *(row[-1:] for row in rows)]
        return _checked(path, [_UNNAMED], bare, first=1)
    if not rows:
        raise refused("no rows", path)
    if TIME not in header and all(_is_time(row[0]) for row in rows):
        header[0] = TIME
    wanted = [*columns, *known] or header
    for name in wanted:
        if name not in header:
            raise refused(f"no column '{name}'; it has {', '.join(header)}", path)
    beside = {TIME} if len(wanted) > 1 else set()
    places = [at for at, name in enumerate(header) if name in {*wanted, *beside}]
    chosen = [[row[at] for at in places] for row in rows]
    return _checked(path, [header[at] for at in places], chosen, first=2)


def _checked(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], first: int) -> Sheet:
    """Cells are finite numbers, or empty, but for times. Raises PlazaError, which names the row."""
    for number, row in enumerate(rows, first):
        for name, cell in zip(header, row, strict=True):
            if cell and name != TIME and not _is_finite(cell):
                raise refused(f"row {number}: '{cell[:20]}' is no number", path)
    return Sheet(tuple(header), tuple(map(tuple, rows)))


def _rows(path: Path) -> list[list[str]]:
    """Of equal length, by commas or semicolons. A line without anything is a cell without anything
    in a table of one column, but at its end; in a wider one it is passed over."""
    try:
        table = path.read_text(encoding="utf-8-sig").rstrip()
        mark = ";" if ";" in table.partition("\n")[0] else ","
        rows = list(csv.reader(io.StringIO(table, newline=""), delimiter=mark))
    except (UnicodeDecodeError, csv.Error):
        raise refused("no CSV in UTF-8", path) from None
    if not rows:
        raise refused("no rows", path)
    alone = len(rows[0]) == 1
    rows = [row or [""] for row in rows if row or alone]
    for at, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise refused(f"row {at} has {len(row)} cells, the first {len(rows[0])}", path)
    return [[cell.strip() for cell in row] for row in rows]


def _is_word(cell: str) -> bool:
    try:
        float(cell or "0")
    except ValueError:
        return True
    return False


def _is_finite(cell: str) -> bool:
    return not _is_word(cell) and math.isfinite(float(cell))


def _is_time(cell: str) -> bool:
    """In ISO 8601; not the digits of its short form, which are a number."""
    try:
        datetime.fromisoformat(cell)
    except ValueError:
        return False
    return _is_word(cell)


def refused(message: str, path: Path) -> plaza.PlazaError:
    """The same code that the hub has for a table that it cannot read."""
    return plaza.PlazaError("invalid_input", message, input=str(path))
