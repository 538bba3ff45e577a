"""An organisation's own labelled messages: a CSV file with the columns `text` and `label`.

Commas, semicolons and tabs are known apart by the first line; UTF-8, with a mark in front or
without. What is wrong with a file is said with the line where it is.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from plaza_core.errors import InvalidInput, NotFound
from plaza_models.text.ngrams import split
from plaza_training.text.sets import Examples

COLUMNS = ("text", "label")
FEWEST = 5
"""Messages that every label must have, so that each part of the cross-validation has one."""
_MOST_ROWS = 200_000
_MOST_LABELS = 1_000
_LONGEST_LABEL = 100
_LONGEST_TEXT = 100_000


class CsvMissing(NotFound):
    """There is no such file."""

    code = "csv_missing"


class CsvUnreadable(InvalidInput):
    """The file is not UTF-8, or no CSV."""

    code = "csv_unreadable"


class CsvColumns(InvalidInput):
    """The first line does not name the columns `text` and `label`."""

    code = "csv_columns"


class CsvRow(InvalidInput):
    """One row cannot be used; the message says which line it ends on."""

    code = "csv_row"


class CsvLabels(InvalidInput):
    """Fewer than two labels, too many, or one with too few messages."""

    code = "csv_labels"


def read_messages(path: Path) -> Examples:
    """Every pair of text and label once, in the order of the file.

    Raises CsvMissing, CsvUnreadable, CsvColumns, CsvRow or CsvLabels.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            found = list(dict.fromkeys(_rows(file.readline(), file, path.name)))
    except FileNotFoundError as error:
        raise CsvMissing(f"there is no file '{path.name}'", input="csv") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CsvUnreadable(f"'{path.name}' cannot be read as UTF-8", input="csv") from error
    except csv.Error as error:
        raise CsvUnreadable(f"'{path.name}' is no CSV: {error}", input="csv") from error
    _check_labels(Counter(label for _, label in found))
    return Examples(tuple(text for text, _ in found), tuple(label for _, label in found))


def _rows(head: str, lines: Iterator[str], name: str) -> Iterator[tuple[str, str]]:
    delimiter = max(",;\t", key=head.count)
    columns = [
        column.strip().lower() for column in next(csv.reader([head], delimiter=delimiter), [])
    ]
    if missing := [column for column in COLUMNS if columns.count(column) != 1]:
        raise CsvColumns(
            f"the first line of '{name}' must name the columns 'text' and 'label' once each; "
            f"'{missing[0]}' is not among: {', '.join(columns) or 'nothing'}",
            input="csv",
        )
    places = [columns.index(column) for column in COLUMNS]
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    for count, row in enumerate(reader, start=1):
        if not row:
            continue  # an empty line
        if count > _MOST_ROWS:
            raise CsvRow(f"'{name}' has more than {_MOST_ROWS:,} rows", input="csv")
        where = f"the row that ends on line {reader.line_num + 1} of '{name}'"
        if len(row) != len(columns):
            raise CsvRow(f"{where} has {len(row)} cells, not {len(columns)}", input="csv")
        yield _usable(row[places[0]].strip(), row[places[1]].strip(), where)


def _usable(text: str, label: str, where: str) -> tuple[str, str]:
    if len(text) > _LONGEST_TEXT:
        raise CsvRow(f"{where} has a text of over {_LONGEST_TEXT:,} characters", input="csv")
    if not split(text):
        raise CsvRow(f"{where} has a text without a letter or digit", input="csv")
    if not label or len(label) > _LONGEST_LABEL or len(label.splitlines()) != 1:
        raise CsvRow(
            f"{where} needs a label of one line, at most {_LONGEST_LABEL} characters", input="csv"
        )
    return text, label


def _check_labels(counts: Counter[str]) -> None:
    if not 2 <= len(counts) <= _MOST_LABELS:
        raise CsvLabels(
            f"there must be 2 to {_MOST_LABELS:,} labels, here are {len(counts)}", input="csv"
        )
    label, fewest = min(counts.items(), key=lambda item: (item[1], item[0]))
    if fewest < FEWEST:
        raise CsvLabels(
            f"every label needs {FEWEST} different messages; '{label}' has {fewest}", input="csv"
        )
