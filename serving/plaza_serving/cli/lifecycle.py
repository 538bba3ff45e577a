"""`plaza models stage|promote|rollback|…`: a version's way into traffic, back, and out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

import plaza
from plaza_serving.cli.models import For, Name
from plaza_serving.cli.session import Session, session
from plaza_serving.cli.show import moment, plain, state, table_of

Number = Annotated[int, typer.Argument(min=1, metavar="VERSION")]
Alias = Annotated[str, typer.Option(help="The alias.")]
Why = Annotated[str, typer.Option(help="For its history and the audit trail.")]

_VERSION = re.compile(r"(?P<model>[a-z0-9.-]+)@(?P<version>[a-z0-9-]+)")
_SPAN = re.compile(r"(\d{1,5})d")
_WHOLE_PERCENT = 100


def mount(app: typer.Typer) -> None:
    verbs: list[Callable[..., None]] = [promote, rollback, history, stage, unstage, retire]
    verbs += [restore, withdraw, examine, remove_alias, diff, gc]
    for verb in verbs:
        app.command()(verb)


# ── aliases ──────────────────────────────────────────────────────────────────────────────────────
def promote(
    *,
    context: typer.Context,
    name: Name,
    version: Number,
    alias: Alias = "champion",
    canary: Annotated[
        float | None, typer.Option(metavar="PERCENT", help="Begin with this part of the requests.")
    ] = None,
    shadow: Annotated[
        float | None, typer.Option(metavar="PERCENT", help="Compute this part too, and compare.")
    ] = None,
    why: Why = "",
    force: Annotated[bool, typer.Option("--force", help="Cancel a running rollout.")] = False,
    allow_breaking: Annotated[
        bool, typer.Option("--allow-breaking", help="Also when callers break.")
    ] = False,
    organisation: For = None,
) -> None:
    """Point an alias at a version and wait for the replicas; or begin a rollout."""
    here = session(context)
    with here.hub() as hub:
        done = hub.models.promote(
            name,
            version,
            alias=alias,
            canary_percent=canary,
            shadow_percent=shadow,
            why=why or None,
            force=force or None,
            allow_breaking=allow_breaking or None,
            organisation=organisation,
        )
    _show_promotion(here, done)


def rollback(
    context: typer.Context,
    name: Name,
    alias: Alias = "champion",
    why: Why = "",
    organisation: For = None,
) -> None:
    """One step back in an alias's history; again, another one."""
    here = session(context)
    with here.hub() as hub:
        done = hub.models.rollback(name, alias=alias, why=why, organisation=organisation)
    _show_promotion(here, done)


def remove_alias(
    context: typer.Context,
    name: Name,
    alias: Annotated[str, typer.Argument(help="The alias.")],
    force: Annotated[bool, typer.Option("--force", help="Cancel a running rollout.")] = False,
    organisation: For = None,
) -> None:
    """Calls by this alias are refused from then on; `rollback` brings it back."""
    here = session(context)
    with here.hub() as hub:
        hub.models.remove_alias(name, alias, force=force, organisation=organisation)
    here.answer({"alias": alias, "removed": True}, table_of(["removed"], [(alias,)]))


def history(
    context: typer.Context, name: Name, alias: Alias = "champion", organisation: For = None
) -> None:
    """Who moved an alias where, when and why; the arrow says where a rollback leads."""
    here = session(context)
    with here.hub() as hub:
        steps = hub.models.history(name, alias=alias, organisation=organisation)
    rows = [
        (
            Text("●", style="green") if step.current else "",
            str(step.sequence),
            step.kind,
            _meaning(step),
            None if step.back is None else f"← {step.back}",
            moment(step.at_unix_us),
            step.actor,
            step.why,
        )
        for step in steps
    ]
    columns = ["", "step#", "", "version", "back", "at (UTC)", "by", "why"]
    here.answer(steps, table_of(columns, rows))


def _meaning(step: plaza.AliasStep) -> str | None:
    if step.version is None or step.split is None:
        return None if step.version is None else str(step.version)
    weights, shadows = step.split["weights"], step.split["shadows"]
    if shadows:
        return f"{step.version}, shadow {_parts(shadows)}"
    return _parts(weights)


def _parts(parts: Mapping[str, int]) -> str:
    return ", ".join(f"{version}: {part / _WHOLE_PERCENT:g} %" for version, part in parts.items())


def _show_promotion(here: Session, done: plaza.Promotion) -> None:
    rows = [
        ("rollout", done.rollout),
        ("published on", ", ".join(done.published_on) or None),
        ("waiting for", ", ".join(done.waiting_for) or None),
        ("failed on", ", ".join(f"{r} ({code})" for r, code in done.failed_on.items()) or None),
    ]
    arrow = "⇢" if done.rollout else "→"
    target = "nothing" if done.version is None else done.version
    shown = rows if done.rollout else rows[1:]
    here.answer(done, table_of([f"{done.alias} {arrow} {target}", ""], shown))


# ── versions ─────────────────────────────────────────────────────────────────────────────────────
def stage(context: typer.Context, name: Name, version: Number, organisation: For = None) -> None:
    """Have replicas open a version now and keep it warm."""
    with _at(context) as (here, hub):
        _show(here, hub.models.stage(name, version, organisation=organisation))


def unstage(context: typer.Context, name: Name, version: Number, organisation: For = None) -> None:
    """Let a version be opened on its first use again."""
    with _at(context) as (here, hub):
        _show(here, hub.models.unstage(name, version, organisation=organisation))


def retire(context: typer.Context, name: Name, version: Number, organisation: For = None) -> None:
    """Let nobody call a version any more. Not while an alias gives it traffic."""
    with _at(context) as (here, hub):
        _show(here, hub.models.retire(name, version, organisation=organisation))


def restore(context: typer.Context, name: Name, version: Number, organisation: For = None) -> None:
    """Undo `retire`."""
    with _at(context) as (here, hub):
        _show(here, hub.models.restore(name, version, organisation=organisation))


def withdraw(
    context: typer.Context, name: Name, version: Number, why: Why = "", organisation: For = None
) -> None:
    """Let a version's examination count no more: nobody may call it."""
    with _at(context) as (here, hub):
        _show(here, hub.models.withdraw(name, version, why=why, organisation=organisation))


def examine(context: typer.Context, name: Name, version: Number, organisation: For = None) -> None:
    """Open a version in the sandbox again."""
    with _at(context) as (here, hub):
        _show(here, hub.models.examine(name, version, organisation=organisation))


@contextmanager
def _at(context: typer.Context) -> Iterator[tuple[Session, plaza.Client]]:
    here = session(context)
    with here.hub() as hub:
        yield here, hub


def _show(here: Session, found: plaza.Version) -> None:
    names, row = ["version#", "state", "digest"], [str(found.version), state(found.state)]
    row.append(found.digest[:12])
    if found.refusal:
        names, row = [*names, "refused because"], [*row, plain(found.refusal)]
    here.answer(found, table_of(names, [row]))


# ── compare, clear away ──────────────────────────────────────────────────────────────────────────
def _version(text: str) -> tuple[str, str]:
    found = _VERSION.fullmatch(text)
    if found is None:
        raise typer.BadParameter("expected MODEL@VERSION, such as cars@3 or cars@champion")
    return found["model"], found["version"]


Which = Annotated[Any, typer.Argument(parser=_version, metavar="MODEL@VERSION")]


def diff(context: typer.Context, before: Which, after: Which, organisation: For = None) -> None:
    """Compare two versions: what callers notice, metrics of the cards, examinations."""
    here = session(context)
    with here.hub() as hub:
        found = hub.models.diff(
            before[0], before[1], after[1], other=after[0], organisation=organisation
        )
    here.answer(found, _changes(found))
    if here.as_json:
        return
    for title, numbers in (("metric", found.metrics), ("examination", found.examination)):
        if numbers:
            here.out.print()
            here.out.print(_numbers(title, numbers))
    here.out.print()
    here.out.print(_conclusion(found))


def _changes(found: plaza.ModelDiff) -> Table:
    rows = [
        (
            Text("breaks", style="red") if change["breaking"] else Text("fits", style="green"),
            change["where"],
            change["before"],
            change["after"],
        )
        for change in found.changes
    ]
    if not rows:
        rows = [(Text("fits", style="green"), "signature, limits, options", "the same", "the same")]
    return table_of(["", "what", _named(found.before), _named(found.after)], rows)


def _named(version: Mapping[str, Any]) -> str:
    return f"{version['model']}@{version['version']}"


def _numbers(title: str, numbers: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for one in numbers:
        before, after = one["before"], one["after"]
        rows.append((one["name"], _number(before), _number(after), _step(before, after)))
    return table_of([title, "before#", "after#", "#"], rows)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:,.6g}" if value % 1 else f"{value:,.0f}"


def _step(before: float | None, after: float | None) -> str:
    if before is None or after is None or before == after:
        return ""
    return f"{(after - before) / abs(before):+.1%}" if before else "new"


def _conclusion(found: plaza.ModelDiff) -> Text:
    if found.same_bundle:
        return Text("the same bundle", style="green")
    if found.compatible:
        return Text("compatible: who calls the one can call the other", style="green")
    broken = sum(1 for change in found.changes if change["breaking"])
    return Text(f"breaking for callers, in {broken} ways", style="bold red")


def _days(text: str) -> int:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise typer.BadParameter("expected a number of days, such as 30d")
    return int(found[1])


def gc(
    context: typer.Context,
    older_than: Annotated[
        int | None,
        typer.Option(parser=_days, metavar="DAYSd", help="Default: what the hub keeps."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only look.")] = False,
    organisation: For = None,
) -> None:
    """Clear away versions that were retired long ago. Without --yes nothing is removed."""
    here = session(context)
    with here.hub() as hub:
        found = hub.models.gc(older_than_days=older_than, remove=yes, organisation=organisation)
    rows = [
        (i["model"], str(i["version"]), moment(i["retired_unix_us"]), i["size"], i["digest"][:12])
        for i in found.items
    ]
    columns = ["model", "version#", "retired (UTC)", "bytes#", "digest"]
    here.answer(found, table_of(columns, rows))
    if not here.as_json:
        what = f"removed, with {found.blobs} files" if found.removed else "would go; --yes does it"
        here.out.print(plain(f"{len(found.items)} versions, {found.bytes:,} bytes {what}"))
