"""`plaza usage …` and `plaza audit …` beyond the lists: statements, verification, corrections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

import plaza
from plaza_serving.cli import reports
from plaza_serving.cli.models import For
from plaza_serving.cli.session import REFUSED, Session, session
from plaza_serving.cli.show import moment, table_of


class Format(StrEnum):
    CSV = "csv"
    JSON = "json"


Of = Annotated[str | None, typer.Option("--organisation", help="Default: the key's own.")]
Month = Annotated[str, typer.Argument(help="A month in UTC, such as 2026-11.", metavar="MONTH")]


def mount(app: typer.Typer) -> None:
    """`usage` and `audit` list when they stand alone, and are groups of further verbs."""
    books = (statement, verify_usage, correct, drift, rebuild, drop)
    _group(app, "usage", reports.usage, books)
    _group(app, "audit", reports.audit, (verify_audit,))


def _group(
    app: typer.Typer, name: str, alone: Callable[..., None], verbs: Sequence[Callable[..., None]]
) -> None:
    group = typer.Typer()

    @wraps(alone)
    def listing(context: typer.Context, **options: Any) -> None:
        if context.invoked_subcommand is None:
            alone(context, **options)

    group.callback(invoke_without_command=True)(listing)
    for verb in verbs:
        group.command(verb.__name__.partition("_")[0])(verb)
    app.add_typer(group, name=name)


def statement(
    context: typer.Context,
    month: Month,
    organisation: Of = None,
    format: Annotated[Format, typer.Option(help="csv is safe in spreadsheets.")] = Format.CSV,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="A file; default: print it.")
    ] = None,
) -> None:
    """A month's books: every request and correction, totals, digests."""
    here = session(context)
    with here.hub() as hub:
        whose = organisation or hub.whoami().organisation_name
        if out is None:
            found = hub.ledger.statement(whose, month, format=format.value)
            typer.echo(found.decode(), nl=False)
            return
        hub.ledger.save_statement(whose, month, out, format=format.value)
    here.answer({"file": str(out)}, table_of(["written"], [(str(out),)]))


def verify_usage(context: typer.Context, organisation: For = None) -> None:
    """Recompute the chain of the books; exits with 1 if a batch does not fit."""
    here = session(context)
    with here.hub() as hub:
        _verified(here, hub, hub.ledger.verify(organisation=organisation), "batches#")


def verify_audit(context: typer.Context, organisation: For = None) -> None:
    """Recompute the chain of the audit trail; exits with 1 if a row does not fit."""
    here = session(context)
    with here.hub() as hub:
        _verified(here, hub, hub.ledger.verify_audit(organisation=organisation), "rows#")


def _verified(here: Session, hub: plaza.Client, chains: list[plaza.Chain], links: str) -> None:
    names = _names(hub)
    rows = [
        (
            names.get(c.organisation, c.organisation),
            c.links,
            "intact" if c.intact else f"broken at {c.broken}: {c.why}",
            str(c.sequence),
            c.digest,
        )
        for c in chains
    ]
    columns = ["organisation", links, "chain", "head#", "digest"]
    here.answer(chains, table_of(columns, rows))
    if not all(chain.intact for chain in chains):
        raise typer.Exit(REFUSED)


def correct(
    *,
    context: typer.Context,
    organisation: Annotated[str, typer.Argument(metavar="ORGANISATION")],
    charge: Annotated[int, typer.Option(help="Compute units; negative gives back.")],
    reason: Annotated[str, typer.Option(help="Stands in the statement.")],
    request: Annotated[str | None, typer.Option(help="Names all the rest.")] = None,
    of_key: Annotated[str | None, typer.Option("--of-key", help="A key's id.")] = None,
    project: Annotated[str | None, typer.Option(help="A project's name.")] = None,
    model: Annotated[str | None, typer.Option(help="A model's id.")] = None,
    period: Annotated[str | None, typer.Option(help="The month it is about.")] = None,
) -> None:
    """Add a signed amount to the books, with its reason. For operators."""
    here = session(context)
    with here.hub() as hub:
        made = hub.ledger.correct(
            organisation,
            charge,
            reason,
            request=request,
            key=of_key,
            project=project,
            model=model,
            period=period,
        )
    row = (made.id, made.charge, made.refers, made.reason)
    here.answer(made, table_of(["correction", "charge#", "about", "reason"], [row]))


def drift(context: typer.Context) -> None:
    """Hours whose sums differ from their rows; exits with 1 if there are any."""
    here = session(context)
    with here.hub() as hub:
        found = hub.ledger.drift()
        _drifted(here, hub, found)
    if found:
        raise typer.Exit(REFUSED)


def rebuild(context: typer.Context) -> None:
    """Make drifted sums anew from the rows; shows what differed."""
    here = session(context)
    with here.hub() as hub:
        _drifted(here, hub, hub.ledger.rebuild())


def _names(hub: plaza.Client) -> dict[str, str]:
    """Ids of the organisations that the key may see -> names."""
    return {one.id: one.name for one in hub.orgs.list()}


def _drifted(here: Session, hub: plaza.Client, found: list[plaza.Drift]) -> None:
    names = _names(hub)
    rows = [
        (
            names.get(d.organisation, d.organisation),
            moment(d.hour_unix_us),
            d.key,
            d.model,
            d.requests,
            d.charge,
        )
        for d in found
    ]
    columns = ["organisation", "hour (UTC)", "key", "model", "requests#", "charge#"]
    here.answer(found, table_of(columns, rows))


def drop(
    context: typer.Context,
    month: Month,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Drop the rows of all months before MONTH, for good; sums and the chain's anchor stay."""
    here = session(context)
    if not yes:
        typer.confirm(f"Drop all records before {month}, for good?", abort=True)
    with here.hub() as hub:
        found = hub.ledger.drop_before(month)
        names = _names(hub)
    rows = [
        (names.get(d.organisation, d.organisation), d.entries, d.batches, d.anchor) for d in found
    ]
    here.answer(found, table_of(["organisation", "entries#", "batches#", "anchor#"], rows))
