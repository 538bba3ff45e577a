"""`plaza up`, `plaza down` and `plaza doctor` as plain functions; the CLI mounts them."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status
from rich.table import Table

from plaza_core.errors import PlazaError
from plaza_core.settings import Settings
from plaza_serving.supervisor import hub
from plaza_serving.supervisor.children import joining, whole_hub
from plaza_serving.supervisor.claims import claimed
from plaza_serving.supervisor.doctor import Verdict, examine
from plaza_serving.supervisor.places import Places
from plaza_serving.supervisor.ports import fixed_ports
from plaza_serving.supervisor.single import holder, only_one
from plaza_serving.supervisor.supervise import Event

_STOP_WITHIN_S = 20.0
_MARKS = {"ready": "[green]✓[/]", "died": "[red]✗[/]", "stuck": "[red]✗[/]"}


def up(
    listen: Annotated[
        str | None, typer.Option(help="Address that the two public ports bind.")
    ] = None,
    join: Annotated[
        str | None,
        typer.Option(help="Be a further node of the cluster whose Ray head is at ADDRESS:PORT."),
    ] = None,
) -> None:
    """Start the hub on this machine and keep it running until Ctrl-C."""
    settings = Settings() if listen is None else Settings(listen=listen)
    places = Places.of(settings)
    console = Console(stderr=True)
    try:
        places.prepare()
        with only_one(places.run), claimed(fixed_ports(settings)):
            asyncio.run(_up(settings, console, join))
    except PlazaError as error:
        console.print(f"[red]{error.message}[/]")
        raise typer.Exit(1) from error


async def _up(settings: Settings, console: Console, join: str | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    with console.status("starting: stores") as status:
        phases = ("stores", "ray") if join else ("stores", "control", "ray", "pool")
        progress = Progress(settings, console, status, phases)
        make = joining(join) if join else whole_hub
        await hub.run(settings, stop, progress, make=make)


class Progress:
    """Tells the operator what the supervisor tells it, once per phase, and when all is ready."""

    def __init__(
        self,
        settings: Settings,
        console: Console,
        status: Status,
        phases: Sequence[str],
    ) -> None:
        self._settings = settings
        self._status = status
        self._console = console
        self._waiting = set(phases)
        self._whole = "control" in phases
        self._started = time.monotonic()

    def __call__(self, event: Event) -> None:
        if event.what == "starting":
            return
        mark = _MARKS.get(event.what, "·")
        after = f"in {event.seconds:.1f} s" if event.what == "ready" else event.detail
        self._console.print(f"{mark} {event.child:<8} {event.what} {after}".rstrip())
        if event.what != "ready" or event.child not in self._waiting:
            return
        self._waiting.discard(event.child)
        if self._waiting:
            self._status.update(f"starting: {', '.join(sorted(self._waiting))}")
        else:
            self._ready()

    def _ready(self) -> None:
        took = time.monotonic() - self._started
        s = self._settings
        self._status.stop()  # a spinner turns twelve times a second, also where nobody looks
        self._console.print(
            f"[bold green]The {'hub' if self._whole else 'node'} is ready[/] in {took:.1f} s\n"
            f"  inference  http://{s.listen}:{s.http_port}"
            + (f", gRPC {s.listen}:{s.grpc_port}" if s.grpc_port else "")
            + (f"\n  control    http://{s.listen}:{s.control_port}" if self._whole else "")
            + "\nCtrl-C stops everything"
        )


def down() -> None:
    """Stop the hub that runs on this state directory."""
    console = Console(stderr=True)
    places = Places.of(Settings())
    running = holder(places.run)
    if running is None:
        console.print("no hub runs on this state directory")
        raise typer.Exit(1)
    running.signal(signal.SIGTERM)
    until = time.monotonic() + _STOP_WITHIN_S
    with console.status(f"stopping pid {running.pid}"):
        while running.alive() and time.monotonic() < until:
            time.sleep(0.05)
    if running.alive():
        console.print(f"[red]pid {running.pid} did not stop within {_STOP_WITHIN_S:.0f} s[/]")
        raise typer.Exit(1)
    console.print("stopped")


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Check this machine and say what is open to the network; exits with 1 if something is bad."""
    findings = examine(Settings())
    if as_json:
        rows = [
            {"check": f.check, "verdict": f.verdict.value, "detail": f.detail} for f in findings
        ]
        typer.echo(json.dumps(rows, indent=2))
    else:
        table = Table("", "check", "what was found", box=None, pad_edge=False)
        colours = {Verdict.OK: "green", Verdict.NOTE: "yellow", Verdict.BAD: "red"}
        for f in findings:
            table.add_row(f"[{colours[f.verdict]}]{f.verdict.value}[/]", f.check, f.detail)
        Console().print(table)
    if any(f.verdict is Verdict.BAD for f in findings):
        raise typer.Exit(1)
