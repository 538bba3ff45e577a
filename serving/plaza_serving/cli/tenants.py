"""`plaza orgs …`, `plaza projects …`, `plaza keys …`: the tenancy tree."""

from __future__ import annotations

from typing import Annotated

import typer

import plaza
from plaza_core.principal import Role
from plaza_serving.cli.session import Session, session
from plaza_serving.cli.show import moment, plain, rate, table_of

organisations = typer.Typer(help="Organisations.", no_args_is_help=True)
projects = typer.Typer(help="Projects of an organisation.", no_args_is_help=True)
keys = typer.Typer(help="API keys.", no_args_is_help=True)

Org = Annotated[str, typer.Argument(help="The organisation's name.", metavar="ORGANISATION")]
Of = Annotated[str | None, typer.Option("--organisation", help="Default: the key's own.")]


# ── organisations ────────────────────────────────────────────────────────────────────────────────
@organisations.command("create")
def create_organisation(
    context: typer.Context, name: Org, title: Annotated[str, typer.Option()] = ""
) -> None:
    """Make an organisation with a first project. For operators."""
    here = session(context)
    with here.hub() as hub:
        _show(here, hub.orgs.create(name, title=title))


@organisations.command("list")
def list_organisations(context: typer.Context) -> None:
    """Operators see all of them, everybody else their own."""
    here = session(context)
    with here.hub() as hub:
        _show(here, hub.orgs.list())


@organisations.command("show")
def show_organisation(context: typer.Context, name: Org) -> None:
    """One organisation."""
    here = session(context)
    with here.hub() as hub:
        _show(here, hub.orgs.show(name))


@organisations.command()
def suspend(context: typer.Context, name: Org) -> None:
    """Stop all keys of an organisation until it is resumed."""
    here = session(context)
    with here.hub() as hub:
        _show(here, hub.orgs.suspend(name))


@organisations.command()
def resume(context: typer.Context, name: Org) -> None:
    """Let the keys of a suspended organisation work again."""
    here = session(context)
    with here.hub() as hub:
        _show(here, hub.orgs.resume(name))


@organisations.command()
def limit(
    context: typer.Context,
    name: Org,
    per_second: Annotated[float, typer.Option(min=0, help="Sustained requests per second.")],
    burst: Annotated[int, typer.Option(min=1, help="Requests that may arrive at once.")],
) -> None:
    """Set how many requests an organisation may send."""
    here = session(context)
    with here.hub() as hub:
        _show(here, hub.orgs.limit(name, per_second=per_second, burst=burst))


def _show(here: Session, found: plaza.Organisation | list[plaza.Organisation]) -> None:
    rows = [
        (o.name, o.title, "suspended" if o.suspended else "active", rate(o.rate), o.id)
        for o in (found if isinstance(found, list) else [found])
    ]
    here.answer(found, table_of(["organisation", "title", "state", "rate", "id"], rows))


# ── projects ─────────────────────────────────────────────────────────────────────────────────────
@projects.command("create")
def create_project(context: typer.Context, name: str, organisation: Of = None) -> None:
    """Make a project."""
    here = session(context)
    with here.hub() as hub:
        _show_projects(here, [hub.projects.create(own(hub, organisation), name)])


@projects.command("list")
def list_projects(context: typer.Context, organisation: Of = None) -> None:
    """The projects of an organisation."""
    here = session(context)
    with here.hub() as hub:
        _show_projects(here, hub.projects.list(own(hub, organisation)))


def _show_projects(here: Session, found: list[plaza.Project]) -> None:
    rows = [(p.name, p.organisation_name, moment(p.created_unix_us), p.id) for p in found]
    here.answer(found, table_of(["project", "organisation", "created (UTC)", "id"], rows))


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────
@keys.command("create")
def create_key(
    *,
    context: typer.Context,
    role: Annotated[Role, typer.Option(help="What the key may do.")],
    organisation: Of = None,
    project: Annotated[str | None, typer.Option(help="Bind it to one project.")] = None,
    label: Annotated[str, typer.Option(help="A word for people.")] = "",
    expires_in_days: Annotated[int | None, typer.Option(min=1)] = None,
    bare: Annotated[
        bool, typer.Option("--bare", help="Print its text alone: PLAZA_API_KEY=$(plaza keys …).")
    ] = False,
) -> None:
    """Make a key. Its text is printed here, once, and is kept nowhere."""
    here = session(context)
    with here.hub() as hub:
        made = hub.keys.create(
            own(hub, organisation),
            role=role.value,
            project=project,
            label=label,
            expires_in_s=expires_in_days and expires_in_days * 86_400,
        )
    if bare:
        here.out.print(plain(made.key), soft_wrap=True)
        return
    here.answer(made, table_of(["id", "key (shown once)"], [(made.id, made.key)]))


@keys.command("list")
def list_keys(context: typer.Context, organisation: Of = None) -> None:
    """Keys, newest first, without their secrets."""
    here = session(context)
    with here.hub() as hub:
        found = hub.keys.list(own(hub, organisation))
    rows = [
        (
            k.id,
            k.role,
            k.project_name,
            k.label,
            moment(k.created_unix_us),
            moment(k.expires_unix_us),
            moment(k.last_used_unix_us),
            "revoked" if k.revoked_unix_us else "active",
            k.replaced_by,
        )
        for k in found
    ]
    columns = [
        "id",
        "role",
        "project",
        "label",
        "created (UTC)",
        "expires (UTC)",
        "last used (UTC)",
        "state",
        "replaced by",
    ]
    here.answer(found, table_of(columns, rows))


@keys.command()
def revoke(context: typer.Context, key: str, organisation: Of = None) -> None:
    """End a key for good, on every replica within a poll."""
    here = session(context)
    with here.hub() as hub:
        hub.keys.revoke(own(hub, organisation), key)
    here.answer({"id": key, "revoked": True}, table_of(["revoked"], [(key,)]))


def own(hub: plaza.Client, organisation: str | None) -> str:
    return organisation or hub.whoami().organisation_name
