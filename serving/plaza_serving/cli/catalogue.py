"""`plaza models search|tag|share|publish` and `plaza catalogue …`: who finds and calls a model."""

from __future__ import annotations

from typing import Annotated

import typer

import plaza
from plaza_core.table import RequestState, Visibility
from plaza_serving.cli.models import For, Name, aliases_text
from plaza_serving.cli.session import Session, session
from plaza_serving.cli.show import moment, plain, state, table_of

app = typer.Typer(help="Requests to make models public.", no_args_is_help=True)

Request = Annotated[str, typer.Argument(help="The request's id: pub_….")]


def mount(models: typer.Typer) -> None:
    for verb in (search, tag, visibility, share, unshare, guests, publish):
        models.command()(verb)


def search(
    *,
    context: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(help="Each must be found.")] = None,
    family: Annotated[str | None, typer.Option(help="Such as vision.detect.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Repeatable; each must be there.")] = None,
    visibility: Annotated[Visibility | None, typer.Option(help="Who may call it.")] = None,
    publisher: Annotated[str | None, typer.Option(help="Whose model: an organisation.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    after: Annotated[str | None, typer.Option(help="What the page before ended with.")] = None,
    organisation: For = None,
) -> None:
    """Models that the key may call, by name, tags, family and card; its own first."""
    here = session(context)
    with here.hub() as hub:
        page = hub.models.search(
            " ".join(words or []),
            family=family,
            tags=tag or (),
            visibility=None if visibility is None else visibility.value,
            publisher=publisher,
            after=after,
            limit=limit,
            organisation=organisation,
        )
    rows = [
        (m.full_name, m.family, aliases_text(m.aliases), " ".join(m.tags), m.visibility, m.summary)
        for m in page.items
    ]
    columns = ["model", "family", "aliases", "tags", "visibility", "about"]
    here.answer(page, table_of(columns, rows))
    if page.next is not None and not here.as_json:
        here.out.print(plain(f"there are more: --after {page.next}"), soft_wrap=True)


def tag(
    context: typer.Context,
    name: Name,
    tags: Annotated[list[str] | None, typer.Argument(help="Tags to add.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", help="Repeatable: a tag to take away.")
    ] = None,
    organisation: For = None,
) -> None:
    """Tag a model."""
    here = session(context)
    with here.hub() as hub:
        found = hub.models.tag(name, add=tags or (), remove=remove or (), organisation=organisation)
    here.answer({"tags": found}, table_of(["tags"], [(" ".join(found) or None,)]))


def visibility(
    context: typer.Context,
    name: Name,
    who: Annotated[Visibility, typer.Argument(help="`public` is for operators; see publish.")],
    organisation: For = None,
) -> None:
    """Say who may call a model."""
    here = session(context)
    with here.hub() as hub:
        _show(here, hub.models.set_visibility(name, who.value, organisation=organisation))


def share(
    context: typer.Context,
    name: Name,
    guests: Annotated[list[str], typer.Argument(help="Organisations.", metavar="ORGANISATION…")],
    organisation: For = None,
) -> None:
    """Let other organisations call a model too."""
    here = session(context)
    with here.hub() as hub:
        hub.models.share(name, guests, organisation=organisation)
        _show_guests(here, hub.models.guests(name, organisation=organisation))


def unshare(
    context: typer.Context,
    name: Name,
    guest: Annotated[str, typer.Argument(metavar="ORGANISATION")],
    organisation: For = None,
) -> None:
    """Let an organisation call a model no more."""
    here = session(context)
    with here.hub() as hub:
        hub.models.unshare(name, guest, organisation=organisation)
        _show_guests(here, hub.models.guests(name, organisation=organisation))


def guests(context: typer.Context, name: Name, organisation: For = None) -> None:
    """Whom a model is shared with."""
    here = session(context)
    with here.hub() as hub:
        _show_guests(here, hub.models.guests(name, organisation=organisation))


def publish(
    context: typer.Context,
    name: Name,
    note: Annotated[str, typer.Option(help="For the operators who decide.")] = "",
    organisation: For = None,
) -> None:
    """Ask operators to make a model public."""
    here = session(context)
    with here.hub() as hub:
        done = hub.models.publish(name, note=note, organisation=organisation)
    here.answer(
        done,
        table_of(
            ["model", "state", "request"],
            [(name, state("public" if done.public else "pending"), done.request)],
        ),
    )


# ── requests ─────────────────────────────────────────────────────────────────────────────────────
@app.command()
def requests(
    context: typer.Context,
    which: Annotated[
        RequestState, typer.Option("--state", help="In this state.")
    ] = RequestState.PENDING,
    organisation: For = None,
) -> None:
    """Requests to make models public; operators see everybody's."""
    here = session(context)
    with here.hub() as hub:
        found = hub.catalogue.requests(which.value, organisation=organisation)
    _show_requests(here, found)


@app.command()
def approve(context: typer.Context, request: Request) -> None:
    """Make the model public, with all versions to come. For operators."""
    here = session(context)
    with here.hub() as hub:
        _show_requests(here, [hub.catalogue.approve(request)])


@app.command()
def reject(
    context: typer.Context,
    request: Request,
    reason: Annotated[str, typer.Option(help="Told to those who asked.")],
) -> None:
    """Do not make the model public. For operators."""
    here = session(context)
    with here.hub() as hub:
        _show_requests(here, [hub.catalogue.reject(request, reason)])


def _show(here: Session, model: plaza.Model) -> None:
    row = (model.full_name, state(model.visibility))
    here.answer(model, table_of(["model", "visibility"], [row]))


def _show_guests(here: Session, found: list[plaza.Guest]) -> None:
    rows = [(g.organisation_name, moment(g.since_unix_us), g.by) for g in found]
    here.answer(found, table_of(["shared with", "since (UTC)", "by"], rows))


def _show_requests(here: Session, found: list[plaza.PublishRequest]) -> None:
    rows = [
        (r.id, r.model, state(r.state), moment(r.asked_unix_us), r.note, r.reason) for r in found
    ]
    columns = ["request", "model", "state", "asked (UTC)", "note", "reason"]
    here.answer(found, table_of(columns, rows))
