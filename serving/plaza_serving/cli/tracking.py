"""What the CLI does about MLflow: `plaza models import` and `plaza proposals …`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

import plaza
from plaza_core.table import Visibility
from plaza_serving.cli.models import WHO, For, show_registered
from plaza_serving.cli.session import session
from plaza_serving.cli.show import moment, table_of

app = typer.Typer(
    help="Aliases that somebody moved in MLflow, to be decided here.", no_args_is_help=True
)

One = Annotated[str, typer.Argument(help="The proposal's id: prp_….", metavar="PROPOSAL")]


class Which(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    ALL = "all"


def mount(models: typer.Typer) -> None:
    models.command("import")(import_model)


def import_model(
    *,
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(help="models:/NAME/VERSION, models:/NAME@ALIAS or runs:/RUN/PATH")
    ],
    name: Annotated[str | None, typer.Option(help="Default: MLflow's, made a name here.")] = None,
    project: Annotated[str | None, typer.Option(help="Default: the key's.")] = None,
    visibility: Annotated[Visibility | None, typer.Option(help=WHO)] = None,
    organisation: For = None,
) -> None:
    """Make a model that was logged to the hub's MLflow a version. Again it changes nothing."""
    here = session(context)
    with here.hub() as hub:
        done = hub.models.import_from_mlflow(
            source,
            name=name,
            project=project,
            visibility=None if visibility is None else visibility.value,
            organisation=organisation,
        )
    show_registered(here, done)


@app.command("list")
def list_(
    context: typer.Context,
    state: Annotated[Which, typer.Option(help="Only those.")] = Which.OPEN,
    organisation: For = None,
) -> None:
    """What was proposed, newest first."""
    here = session(context)
    with here.hub() as hub:
        found = hub.proposals.list(state=state.value, organisation=organisation)
    here.answer(found, _table(found))


@app.command()
def accept(context: typer.Context, proposal: One, organisation: For = None) -> None:
    """Do what was proposed, with your rights, and wait for the replicas."""
    here = session(context)
    with here.hub() as hub:
        done = hub.proposals.accept(proposal, organisation=organisation)
    here.answer(done, _table([done.proposal]))


@app.command()
def reject(context: typer.Context, proposal: One, organisation: For = None) -> None:
    """Leave the alias as it is here, and tell MLflow so."""
    here = session(context)
    with here.hub() as hub:
        done = hub.proposals.reject(proposal, organisation=organisation)
    here.answer(done, _table([done]))


def _table(found: list[plaza.Proposal]) -> Table:
    rows = [
        (p.id, p.name, f"{p.alias}: {_meaning(p)}", p.state, moment(p.seen_unix_us), p.decided_by)
        for p in found
    ]
    columns = ["proposal", "model", "alias: here → there", "state", "seen (UTC)", "decided by"]
    return table_of(columns, rows)


def _meaning(proposal: plaza.Proposal) -> str:
    if proposal.version is not None:
        there = str(proposal.version)
    else:
        there = "deleted" if proposal.number is None else f"MLflow's {proposal.number}, unknown"
    return f"{proposal.present or 'none'} → {there}"
