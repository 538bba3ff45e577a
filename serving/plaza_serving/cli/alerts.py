"""`plaza alerts …`: who is told of budgets at 50, 80 and 100 % and of stopped rollouts."""

from __future__ import annotations

from typing import Annotated

import typer

import plaza
from plaza._alerts import AlertEvent
from plaza_core.webhooks import Event
from plaza_serving.cli.session import Session, session
from plaza_serving.cli.show import moment, table_of

app = typer.Typer(help="Alerts about budgets, by signed webhook.", no_args_is_help=True)
hosts = typer.Typer(help="Where alerts may go. For operators.", no_args_is_help=True)
app.add_typer(hosts, name="hosts")

Of = Annotated[str | None, typer.Option("--organisation", help="Default: the key's own.")]
Target = Annotated[str, typer.Argument(help="The target's id: whk_….", metavar="TARGET")]
Pattern = Annotated[str, typer.Argument(help="HOST or *.HOST, with :PORT or :*; default: 443.")]

_NAMES: dict[Event, AlertEvent] = {
    Event.BUDGET_50: "budget.50",
    Event.BUDGET_80: "budget.80",
    Event.BUDGET_100: "budget.100",
    Event.ROLLOUT_STOPPED: "rollout.stopped",
}


@app.command()
def add(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="https, on a host that operators allow.")],
    event: Annotated[list[Event] | None, typer.Option(help="Repeatable; default: budgets.")] = None,
    label: Annotated[str, typer.Option(help="A word for people.")] = "",
    organisation: Of = None,
) -> None:
    """Have alerts sent to a URL. The secret that signs them is printed here, once."""
    here = session(context)
    chosen = [_NAMES[one] for one in event if one in _NAMES] if event else None
    with here.hub() as hub:
        made = hub.alerts.add(_own(hub, organisation), url, events=chosen, label=label)
    _show_secret(here, made)


@app.command("list")
def list_targets(context: typer.Context, organisation: Of = None) -> None:
    """Who is told, and how that goes."""
    here = session(context)
    with here.hub() as hub:
        _show(here, hub.alerts.list(_own(hub, organisation)))


@app.command()
def remove(context: typer.Context, target: Target, organisation: Of = None) -> None:
    """Tell a target nothing more; what waits for it is dropped."""
    here = session(context)
    with here.hub() as hub:
        hub.alerts.remove(_own(hub, organisation), target)
    here.answer({"id": target, "removed": True}, table_of(["removed"], [(target,)]))


@app.command()
def rotate(context: typer.Context, target: Target, organisation: Of = None) -> None:
    """Make a new secret; for a day messages are signed by the old one too."""
    here = session(context)
    with here.hub() as hub:
        made = hub.alerts.rotate(_own(hub, organisation), target)
    _show_secret(here, made)


@app.command()
def enable(context: typer.Context, target: Target, organisation: Of = None) -> None:
    """Use a disabled target again, for what happens from now on."""
    here = session(context)
    with here.hub() as hub:
        _show(here, [hub.alerts.enable(_own(hub, organisation), target)])


@app.command("test")
def send_test(context: typer.Context, target: Target, organisation: Of = None) -> None:
    """Send a test message; `deliveries` tells what became of it."""
    here = session(context)
    with here.hub() as hub:
        _show_deliveries(here, [hub.alerts.test(_own(hub, organisation), target)])


@app.command()
def deliveries(context: typer.Context, target: Target, organisation: Of = None) -> None:
    """What was sent to a target, newest first."""
    here = session(context)
    with here.hub() as hub:
        _show_deliveries(here, hub.alerts.deliveries(_own(hub, organisation), target))


@hosts.command("list")
def list_hosts(context: typer.Context) -> None:
    """The list; empty, no alert goes anywhere."""
    here = session(context)
    with here.hub() as hub:
        _show_hosts(here, hub.alerts.hosts())


@hosts.command()
def allow(
    context: typer.Context,
    pattern: Pattern,
    private: Annotated[
        bool, typer.Option("--private", help="It may be an address inside the hub's network.")
    ] = False,
) -> None:
    """Let alerts go to a host."""
    here = session(context)
    with here.hub() as hub:
        _show_hosts(here, [hub.alerts.allow_host(pattern, private=private)])


@hosts.command()
def disallow(context: typer.Context, pattern: Pattern) -> None:
    """Let no alert go to a host any more."""
    here = session(context)
    with here.hub() as hub:
        _show_hosts(here, hub.alerts.disallow_host(pattern))


def _show(here: Session, found: list[plaza.AlertTarget]) -> None:
    rows = [
        (t.id, t.url, t.label, " ".join(t.events), _state(t), moment(t.created_unix_us))
        for t in found
    ]
    columns = ["id", "url", "label", "events", "state", "created (UTC)"]
    here.answer(found, table_of(columns, rows))


def _state(target: plaza.AlertTarget) -> str:
    if not target.active:
        return f"disabled: {target.disabled_because}"
    return f"{target.failures} failures" if target.failures else "active"


def _show_secret(here: Session, made: plaza.NewAlertTarget) -> None:
    rows = [(made.target.id, made.target.url, made.secret)]
    here.answer(made, table_of(["id", "url", "secret (shown once)"], rows))


def _show_deliveries(here: Session, found: list[plaza.AlertDelivery]) -> None:
    rows = [
        (d.id, d.event, d.state, d.attempts, moment(d.created_unix_us), d.last_error) for d in found
    ]
    columns = ["message", "event", "state", "attempts#", "created (UTC)", "last error"]
    here.answer(found, table_of(columns, rows))


def _show_hosts(here: Session, found: list[plaza.AlertHost]) -> None:
    rows = [(h.pattern, "also inside" if h.private else "outside only") for h in found]
    here.answer(found, table_of(["pattern", "addresses"], rows))


def _own(hub: plaza.Client, organisation: str | None) -> str:
    return organisation or hub.whoami().organisation_name
