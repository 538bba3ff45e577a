"""An organisation's own labelled messages: a CSV file with the columns `text` and `label`.

Commas, semicolons and tabs are known apart by the first line; UTF-8 or UTF-16 by the mark in front,
other encodings are named. What is wrong with a file is said with the line where it is. Texts that a
model reads alike are one message, so that no part of a cross-validation has learnt another's.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
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
    """The file is in another encoding than said, or no CSV."""

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


@dataclass(frozen=True, slots=True)
class Messages:
    """What a file has to learn from, in its order, and what was done about the rest."""

    examples: Examples
    """Texts that no two read alike, each with one label."""
    repeated: int
    """Rows that say again what another says, with the same label."""
    contradicted: int
    """Texts that have several labels: each keeps the one most of its rows have, else the first."""
    wordless: int
    """Rows whose text has neither letter nor digit."""


def read_messages(path: Path, encoding: str | None = None) -> Messages:
    """`encoding`: None takes UTF-8, or UTF-16 where the file begins as such.

    Raises CsvMissing, CsvUnreadable, CsvColumns, CsvRow or CsvLabels.
    """
    lines = io.StringIO(_decoded(path, encoding), newline="")
    try:
        rows = list(_rows(lines.readline(), lines, path.name))
    except csv.Error as error:
        raise CsvUnreadable(f"'{path.name}' is no CSV: {error}", input="csv") from error
    first: dict[str, str] = {}
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    wordless = 0
    for text, label in rows:
        if not (words := " ".join(split(text))):
            wordless += 1
            continue
        first.setdefault(words, text)
        labels[words][label] += 1
    chosen = tuple(counts.most_common(1)[0][0] for counts in labels.values())
    _check_labels(Counter(chosen))
    return Messages(
        Examples(tuple(first.values()), chosen),
        repeated=len(rows) - wordless - sum(map(len, labels.values())),
        contradicted=sum(len(counts) > 1 for counts in labels.values()),
        wordless=wordless,
    )


def _decoded(path: Path, encoding: str | None) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise CsvMissing(f"there is no file '{path.name}'", input="csv") from error
    except OSError as error:
        raise CsvUnreadable(f"'{path.name}' cannot be read", input="csv") from error
    if encoding is None:
        marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        encoding = "utf-16" if marked else "utf-8-sig"
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CsvUnreadable(
            f"line {line} of '{path.name}' is not {encoding}: save it as UTF-8, or say how it is "
            "written with --encoding, such as gb18030, big5, shift_jis or windows-1252",
            input="csv",
        ) from error
    except LookupError as error:
        raise CsvUnreadable(f"there is no encoding '{encoding}'", input="encoding") from error


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
        if not any(map(str.strip, row)):
            continue  # an empty line, or cells without anything
        if count > _MOST_ROWS:
            raise CsvRow(f"'{name}' has more than {_MOST_ROWS:,} rows", input="csv")
        where = f"the row that ends on line {reader.line_num + 1} of '{name}'"
        if len(row) != len(columns):
            raise CsvRow(f"{where} has {len(row)} cells, not {len(columns)}", input="csv")
        yield _usable(row[places[0]].strip(), row[places[1]].strip(), where)


def _usable(text: str, label: str, where: str) -> tuple[str, str]:
    if len(text) > _LONGEST_TEXT:
        raise CsvRow(f"{where} has a text of over {_LONGEST_TEXT:,} characters", input="csv")
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
