"""`plaza indexes`: search over documents, from making an index to asking it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

import plaza
from plaza_serving.cli.models import For
from plaza_serving.cli.session import session
from plaza_serving.cli.show import moment, table_of

app = typer.Typer(help="Search over documents: by meaning and words.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="index or project.index", metavar="INDEX")]
_SHOWN = 80
"""Characters of a text in a table."""


class Mode(StrEnum):
    HYBRID = "hybrid"
    KEYWORDS = "keywords"
    VECTORS = "vectors"


@app.command()
def create(
    *,
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the index is to be called.")],
    model: Annotated[str | None, typer.Option(help="Embedder; none: words only.")] = None,
    version: Annotated[str, typer.Option(help="Of the model; the index keeps to it.")] = "champion",
    project: Annotated[str | None, typer.Option(help="Default: the key's.")] = None,
    organisation: For = None,
) -> None:
    """Make an empty index."""
    here = session(context)
    with here.hub() as hub:
        made = hub.indexes.create(
            name, model=model, version=version, project=project, organisation=organisation
        )
    here.answer(made, _table([made]))


@app.command("list")
def list_(context: typer.Context, organisation: For = None) -> None:
    """Show what indexes there are."""
    here = session(context)
    with here.hub() as hub:
        found = hub.indexes.list(organisation=organisation)
    here.answer(found, _table(found))


@app.command()
def show(context: typer.Context, index: Name, organisation: For = None) -> None:
    """Show one index."""
    here = session(context)
    with here.hub() as hub:
        found = hub.indexes.show(index, organisation=organisation)
    here.answer(found, _table([found]))


@app.command()
def drop(context: typer.Context, index: Name, organisation: For = None) -> None:
    """Remove an index with all its documents, for good."""
    here = session(context)
    with here.hub() as hub:
        hub.indexes.drop(index, organisation=organisation)
    here.answer({"dropped": index}, table_of(["dropped"], [[index]]))


@app.command()
def put(
    *,
    context: typer.Context,
    index: Name,
    file: Annotated[
        Path,
        typer.Argument(
            help=".jsonl with id, text and facts in each line, or .csv", exists=True, dir_okay=False
        ),
    ],
    id_column: Annotated[str, typer.Option("--id", help="Column of a .csv.")] = "id",
    text_column: Annotated[str, typer.Option("--text", help="Column of a .csv.")] = "text",
) -> None:
    """Add documents from a file, or replace those of the same id. Again it costs nothing.

    Of a .csv, all other columns become the document's facts.
    """
    here = session(context)
    read = _lines(file) if file.suffix == ".jsonl" else _rows(file, id_column, text_column)
    with here.hub() as hub:
        done = hub.indexes.put(index, read)
    heads = ["added#", "replaced#", "unchanged#", "documents#", "charge#"]
    counts = (done.added, done.replaced, done.unchanged, done.documents, done.charge)
    here.answer(done, table_of(heads, [[f"{count:,}" for count in counts]]))


@app.command()
def delete(
    context: typer.Context,
    index: Name,
    ids: Annotated[list[str], typer.Argument(help="Of the documents.", metavar="ID...")],
) -> None:
    """Delete documents."""
    here = session(context)
    with here.hub() as hub:
        count = hub.indexes.delete(index, ids)
    here.answer({"deleted": count}, table_of(["deleted#"], [[str(count)]]))


@app.command()
def documents(
    context: typer.Context,
    index: Name,
    after: Annotated[str | None, typer.Option(help="Begin behind this id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
) -> None:
    """List documents, by id."""
    here = session(context)
    with here.hub() as hub:
        page = hub.indexes.documents(index, after=after, limit=limit)
    rows = [[one.id, _short(one.text), _facts(one.facts)] for one in page.items]
    here.answer(page, table_of(["id", "text", "facts"], rows))


@app.command()
def search(
    *,
    context: typer.Context,
    index: Name,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    limit: Annotated[int, typer.Option(min=1, max=200)] = 10,
    mode: Annotated[Mode | None, typer.Option(help="Default: as good as the index can.")] = None,
) -> None:
    """Find the documents that answer best. `rank` says where words and meaning put each."""
    here = session(context)
    with here.hub() as hub:
        found = hub.indexes.search(
            index, query, limit=limit, mode=None if mode is None else mode.value
        )
    rows = [
        [
            f"{one.score:.4f}",
            f"{one.keyword_rank or '-'}/{one.vector_rank or '-'}",
            one.id,
            _short(one.text),
            _facts(one.facts),
        ]
        for one in found.items
    ]
    here.answer(found, table_of(["score#", "rank", "id", "text", "facts"], rows))


def _table(found: Iterable[plaza.SearchIndex]) -> Any:
    heads = ["index", "project", "model", "version#", "documents#", "KiB#", "changed (UTC)"]
    rows = [
        [
            one.name,
            one.project_name,
            one.model or "words only",
            "-" if one.version is None else str(one.version),
            f"{one.documents:,}",
            f"{one.bytes / 1024:,.0f}",
            moment(one.changed_unix_us) or "-",
        ]
        for one in found
    ]
    return table_of(heads, rows)


def _lines(file: Path) -> Iterator[Mapping[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except ValueError:
                found = None
            if not isinstance(found, dict):
                raise typer.BadParameter(f"line {number} is no JSON object", param_hint="FILE")
            yield found


def _rows(file: Path, id_column: str, text_column: str) -> Iterator[plaza.Document]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        for column in (id_column, text_column):
            if column not in (rows.fieldnames or ()):
                raise typer.BadParameter(f"there is no column '{column}'", param_hint="FILE")
        for row in rows:
            facts = {
                name: value
                for name, value in row.items()
                if name not in {id_column, text_column} and isinstance(value, str) and value
            }
            yield plaza.Document(row[id_column] or "", row[text_column] or "", facts)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def _facts(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in facts.items())
