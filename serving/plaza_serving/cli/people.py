"""`plaza members …`, and `plaza keys rotate|expire`: people and the lives of keys."""

from __future__ import annotations

import re
from typing import Annotated

import typer

import plaza
from plaza_core.principal import Role
from plaza_serving.cli.session import Session, session
from plaza_serving.cli.show import moment, table_of
from plaza_serving.cli.tenants import Of, keys, own

members = typer.Typer(help="People with a role.", no_args_is_help=True)

_SPAN = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(text: str) -> int:
    """`90s`, `30m`, `24h` or `7d` as seconds. Raises a complaint about the command line."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise typer.BadParameter("a time is a number and s, m, h or d, such as 24h")
    return int(match[1]) * _SECONDS[match[2]]


@keys.command()
def rotate(
    context: typer.Context,
    key: str,
    overlap: Annotated[
        int, typer.Option(parser=seconds, metavar="TIME", help="How long the old key goes on.")
    ] = "24h",  # type: ignore[assignment]  # parsed like what is typed
    organisation: Of = None,
) -> None:
    """Replace a key by a new one with the same rights and limits, printed here, once."""
    here = session(context)
    with here.hub() as hub:
        made = hub.keys.rotate(own(hub, organisation), key, overlap_s=overlap)
    here.answer(made, table_of(["id", "key (shown once)", "replaces"], [(made.id, made.key, key)]))


@keys.command()
def expire(
    context: typer.Context,
    key: str,
    within: Annotated[
        int | None,
        typer.Option("--in", parser=seconds, metavar="TIME", help="From now on, such as 30d."),
    ] = None,
    never: Annotated[bool, typer.Option("--never", help="Let it live on.")] = False,
    organisation: Of = None,
) -> None:
    """Set when a key ends by itself."""
    if never == (within is not None):
        raise typer.BadParameter("say either --in or --never")
    here = session(context)
    with here.hub() as hub:
        changed = hub.keys.set_expiry(own(hub, organisation), key, expires_in_s=within)
    rows = [(changed.id, moment(changed.expires_unix_us) or "never")]
    here.answer(changed, table_of(["id", "expires (UTC)"], rows))


@members.command("add")
def add_member(
    context: typer.Context,
    email: str,
    role: Annotated[Role, typer.Option(help="What they may do.")],
    project: Annotated[str | None, typer.Option(help="Bind them to one project.")] = None,
    organisation: Of = None,
) -> None:
    """Invite somebody by e-mail; they become a member at their first login."""
    here = session(context)
    with here.hub() as hub:
        added = hub.members.add(own(hub, organisation), email, role=role.value, project=project)
    _show(here, added)


@members.command("list")
def list_members(context: typer.Context, organisation: Of = None) -> None:
    """Members, newest first."""
    here = session(context)
    with here.hub() as hub:
        _show(here, hub.members.list(own(hub, organisation)))


@members.command("role")
def set_role(context: typer.Context, member: str, role: Role, organisation: Of = None) -> None:
    """Change what a member may do, from their next request on."""
    here = session(context)
    with here.hub() as hub:
        _show(here, hub.members.set_role(own(hub, organisation), member, role.value))


@members.command("remove")
def remove_member(context: typer.Context, member: str, organisation: Of = None) -> None:
    """End a membership at once, in every browser."""
    here = session(context)
    with here.hub() as hub:
        _show(here, hub.members.remove(own(hub, organisation), member))


def _show(here: Session, found: plaza.Member | list[plaza.Member]) -> None:
    rows = [
        (m.id, m.email, m.role, m.project_name, _state(m), moment(m.created_unix_us))
        for m in (found if isinstance(found, list) else [found])
    ]
    columns = ["id", "e-mail", "role", "project", "state", "invited (UTC)"]
    here.answer(found, table_of(columns, rows))


def _state(member: plaza.Member) -> str:
    if member.removed_unix_us:
        return "removed"
    return "member" if member.joined_unix_us else "invited"
