"""`plaza leases …`: what replicas hold of budgets, and what becomes of it when one is lost."""

from __future__ import annotations

from typing import Annotated

import typer

from plaza_serving.cli.session import REFUSED, session
from plaza_serving.cli.show import moment, table_of

app = typer.Typer(help="What replicas hold of budgets. For operators.", no_args_is_help=True)


@app.command("list")
def list_leases(
    context: typer.Context,
    replica: Annotated[str | None, typer.Option(help="Of this one only.")] = None,
) -> None:
    """Open leases, by replica. `outstanding` is what a write-off would charge."""
    here = session(context)
    with here.hub() as hub:
        found = hub.leases.list(replica=replica)
    rows = [
        (
            x.replica,
            "live" if x.live else "silent",
            x.organisation_name,
            x.project_name or "",
            x.key,
            moment(x.opened_unix_us),
            x.granted,
            x.outstanding,
        )
        for x in found
    ]
    columns = ["replica", "", "organisation", "project", "key", "since (UTC)", "granted#"]
    here.answer(found, table_of([*columns, "outstanding#"], rows))


@app.command("write-off")
def write_off(
    context: typer.Context,
    replica: Annotated[str, typer.Argument(metavar="REPLICA")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Charge in full what a replica still held whose host is lost for good, and close its leases.

    What it used of that can never be known; the whole is never less, so no budget is overspent.
    Each lease becomes an entry `write-off-LEASE` of its organisation's statement; give back what
    was too much with `plaza usage correct --request write-off-LEASE`. Done again, it charges
    nothing. A replica that died alone needs none of this: its node's control adopts its spool.
    """
    here = session(context)
    with here.hub() as hub:
        if not yes:
            open_ = hub.leases.list(replica=replica)
            units = sum(lease.outstanding for lease in open_)
            asked = f"Charge {units} units of {len(open_)} leases to their keys, for good?"
            typer.confirm(asked, abort=True)
        done = hub.leases.write_off(replica)
    row = (done.replica, done.leases, done.charged)
    here.answer(done, table_of(["replica", "leases#", "charged#"], [row]))


@app.command()
def drift(
    context: typer.Context,
    now: Annotated[bool, typer.Option("--now", help="Look now.")] = False,
) -> None:
    """Numbers of budgets that are not what their rows add up to; exits with 1 if there are any."""
    here = session(context)
    with here.hub() as hub:
        found = hub.leases.drift(now=now)
    rows = [(x.what, x.number, x.kept, x.recomputed) for x in found]
    here.answer(found, table_of(["account or lease", "number", "kept#", "rows#"], rows))
    if found:
        raise typer.Exit(REFUSED)
