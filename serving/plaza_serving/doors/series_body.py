"""Series as they are sent: in JSON, or as a table in CSV.

JSON has one series in `values`, or several in `series`, and rows of `known`; what is not there is
null. In CSV (UTF-8, a header, commas or semicolons) each row is a moment, oldest first. The column
`time` is ISO 8601; columns named as the model's covariates are what is known; every other one is a
series. An empty cell is what was not measured, and so is an empty line between those of a single
column; in wider tables it is passed over. Rows at the end with covariates or times alone are
the steps ahead. The other fields of the request are in the query string.
"""

from __future__ import annotations

import copy
import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from plaza_core.errors import InvalidInput, MalformedRequest, PlazaError
from plaza_serving.doors.asking import COMMON, Asking, media_of
from plaza_serving.doors.body import off_loop
from plaza_serving.doors.exchange import Exchange
from plaza_serving.doors.fields import Fields
from plaza_serving.naming import renamed

FAMILY = "forecast.quantile"
CSV = "text/csv"
MAX_SERIES = 2048
MAX_KNOWN = 64
MAX_CELLS = 1 << 21
"""Of a table: two thirds of a second of a thread. A year of minutes with its times has half."""
TIME = "time"
_SENT = ("values", "series", "known")
Row = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """Series of one request, with what stood beside them."""

    fields: Fields
    series: tuple[Row, ...]
    one: bool
    """Whether a single series was sent as such, and is answered so."""
    known: tuple[Row, ...] = ()
    names: tuple[str, ...] = ()
    """Of the series, where they came with names."""
    covariates: tuple[str, ...] = ()
    """Names of what is `known`, of a table."""
    times: tuple[str, ...] = ()
    """Of all rows of a table, those ahead too; empty without them."""
    ahead: int = 0
    """Rows of a table after the last value."""

    def known_from(self, context: int) -> tuple[Row, ...]:
        """What is known over the model's context and the steps ahead, as JSON has it."""
        if not self.names:
            return self.known
        return tuple(row[-(context + self.ahead) :] for row in self.known)

    def named(self, error: PlazaError, *, context: int | None = None) -> PlazaError:
        """`error` as the sender would put it: a field of JSON, or a column and row of the table.
        `context`: what is known was sent from there on (see `known_from`), None: whole."""
        if not self.names:
            return renamed(error, "series", lambda _: "values") if self.one else error
        found = _PLACE.fullmatch(error.input or "")
        if found is None:
            return error
        own, column, row = found.groups()
        if own == "values":
            column, row = "0", column
        where = ""
        if column is not None:
            names = self.covariates if own == "known" else self.names
            if int(column) >= len(names):
                return error
            where = f"column '{names[int(column)][:40]}'"
        if row is not None:
            # The row after the header is the second.
            begins = 0
            if own == "known" and context is not None:
                begins = max(0, len(self.known[0]) - context - self.ahead)
            where += f", row {int(row) + begins + 2}"
        told = copy.copy(error)
        told.message = f"{where}: {error.message}" if where else error.message
        told.input = "body"
        return told


_PLACE = re.compile(r"(values|series|known)(?:\[(\d{1,9})\])?(?:\[(\d{1,9})\])?")
"""A cell may say anything, also of a column that is not there."""


async def read(asking: Asking, exchange: Exchange, *own: str) -> Sheet:
    """`own` are the fields of the endpoint beside the series. Raises InvalidInput."""
    if media_of(exchange) != CSV:
        fields = await asking.fields(exchange, *_SENT, *own, also=f" and {CSV}")
        return _of_json(fields)
    pairs = parse_qsl(exchange.scope["query_string"].decode("latin-1"))
    fields = Fields.of_query(pairs, known=(*COMMON, *own))
    model = asking.meant(exchange, fields, FAMILY)
    view = asking.plane.model(exchange.principal, model, fields.version())
    covariates = tuple(view.manifest.options.get("known", ()))
    body = await asking.bodies.read(exchange)
    return await off_loop(len(body), _of_table, fields, body, covariates)


def _of_json(fields: Fields) -> Sheet:
    known = _rows(fields, "known", MAX_KNOWN) if fields.has("known") else ()
    if not fields.has("series"):
        return Sheet(fields, (_numbers(fields.value("values"), "values"),), one=True, known=known)
    if fields.has("values"):
        raise InvalidInput("send either values or series", input="values")
    return Sheet(fields, _rows(fields, "series", MAX_SERIES), one=False, known=known)


def _rows(fields: Fields, name: str, most: int) -> tuple[Row, ...]:
    rows = fields.value(name)
    if type(rows) is not list or not 0 < len(rows) <= most:
        raise InvalidInput(f"{name} must be a list of 1 to {most} lists of numbers", input=name)
    return tuple(_numbers(row, f"{name}[{at}]") for at, row in enumerate(rows))


def _numbers(value: Any, where: str) -> Row:
    """JSON numbers are finite; null is what is not there."""
    if type(value) is not list or not value or not set(map(type, value)) <= _NUMBERS:
        raise InvalidInput(f"{where} must be a list of numbers", input=where)
    return tuple(math.nan if one is None else float(one) for one in value)


_LINE = re.compile(r"[^\r\n]*")
_NUMBERS = {int, float, type(None)}


def _of_table(fields: Fields, body: bytes, covariates: Sequence[str]) -> Sheet:
    header, columns = _table(body)
    missing = [name for name in covariates if name not in columns]
    if missing:
        raise InvalidInput(f"the table has no column '{missing[0]}'", input="body")
    names = tuple(name for name in header if name not in {TIME, *covariates})
    if not 0 < len(names) <= MAX_SERIES:
        raise InvalidInput(f"the table must have 1 to {MAX_SERIES} series", input="body")
    cells = {name: _cells(name, columns[name]) for name in header if name != TIME}
    measured = np.zeros(len(columns[header[0]]), bool)
    for name in names:
        measured |= ~np.isnan(cells[name])
    if not measured.any():
        raise InvalidInput("the table has no values", input="body")
    ahead = int(measured[::-1].argmax())
    count = len(measured) - ahead
    return Sheet(
        fields,
        tuple(tuple(cells[name][:count].tolist()) for name in names),
        one=len(names) == 1,
        known=tuple(tuple(cells[name].tolist()) for name in covariates),
        names=names,
        covariates=tuple(covariates),
        times=tuple(columns.get(TIME, ())),
        ahead=ahead,
    )


def _table(body: bytes) -> tuple[list[str], dict[str, list[str]]]:
    """The header, and the cells of each column. Raises MalformedRequest, InvalidInput."""
    try:
        text = body.decode("utf-8-sig")
        first = _LINE.match(text)[0]  # type: ignore[index]  # it matches nothing too
        mark = ";" if ";" in first and "," not in first else ","
        _require_size(body, first.count(mark), mark)
        lines = io.StringIO(text.rstrip("\r\n"), newline="")
        return _read(csv.reader(lines, delimiter=mark))
    except (UnicodeDecodeError, csv.Error):
        raise MalformedRequest("the body is no CSV in UTF-8", input="body") from None


def _read(lines: Iterator[list[str]]) -> tuple[list[str], dict[str, list[str]]]:
    """Rows are not kept as such: two million lists are work for the garbage collector."""
    header = [cell.strip() for cell in next(filter(None, lines), [])]
    width = len(header)
    flat: list[str] = []
    for row in lines:
        if len(row) != width:
            if row:
                said = f"row {len(flat) // width + 2} has {len(row)} cells, the header {width}"
                raise InvalidInput(said, input="body")
            if width > 1:
                continue
            flat.append("")
        flat += row
    if not flat:
        raise InvalidInput("the table needs a header and rows", input="body")
    if len(set(header)) < width or not all(header):
        raise InvalidInput("each column needs a name of its own", input="body")
    flat = list(map(str.strip, flat))
    return header, {name: flat[at::width] for at, name in enumerate(header)}


def _require_size(body: bytes, commas: int, mark: str) -> None:
    """Before anything is made of them. `commas`: of the header. A mark or a line's end inside of
    quotes counts too. Raises InvalidInput."""
    if commas > MAX_SERIES + MAX_KNOWN:
        raise InvalidInput(f"the table must have 1 to {MAX_SERIES} series", input="body")
    if body.count(mark.encode()) + body.count(b"\n") + body.count(b"\r") > MAX_CELLS:
        raise InvalidInput(f"the table has more than {MAX_CELLS:,} cells", input="body")


def _cells(name: str, column: Sequence[str]) -> NDArray[np.float64]:
    """Numbers of one column; NaN for an empty cell."""
    try:
        found = np.array([float(cell) if cell else math.nan for cell in column])
        wrong = len(found) - np.count_nonzero(np.isfinite(found)) != column.count("")
    except ValueError:
        wrong = True
    if wrong:
        number = next(at for at, cell in enumerate(column, 2) if cell and not _is_finite(cell))
        raise InvalidInput(f"column '{name[:40]}', row {number}: no number", input="body")
    return found


def _is_finite(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
