"""`plaza models certify` and `plaza models certificates`: where a version may run, and how well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.table import Table

import plaza
from plaza_serving.cli.models import For, Name
from plaza_serving.cli.session import REFUSED, session
from plaza_serving.cli.show import moment, table_of

_MIB = 1 << 20


def mount(app: typer.Typer) -> None:
    for command in (certify, certificates):
        app.command()(command)


def certify(
    *,
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="NAME@VERSION, as in cars@3.", metavar="MODEL")],
    provider: Annotated[str, typer.Option(help="One that a pool of the hub has.")],
    organisation: For = None,
) -> None:
    """Examine a version on a provider: is it safe there, whole, equal to `cpu`, and how fast?

    The pool that has the provider opens the version once it has passed. Ends with 1 where it has
    not.
    """
    here = session(context)
    name, _, version = model.rpartition("@")
    if not name or not version.isdecimal():
        raise typer.BadParameter("expected NAME@VERSION, as in cars@3", param_hint="MODEL")
    with here.hub() as hub:
        made = hub.models.certify(name, int(version), provider, organisation=organisation)
    here.answer(made, _table([made]))
    if not made.passed:
        where = f" ({made.rule}{': ' + made.node if made.node else ''})" if made.rule else ""
        line = f"not certified{where}: {made.reason}"
        here.err.print(line, style="red", markup=False, soft_wrap=True)
        raise typer.Exit(REFUSED)


def certificates(
    *,
    context: typer.Context,
    name: Name,
    version: Annotated[int | None, typer.Option(min=1, help="Of this version only.")] = None,
    organisation: For = None,
) -> None:
    """Show where the versions of a model may run: the newest of each environment."""
    here = session(context)
    with here.hub() as hub:
        found = hub.models.certificates(name, version=version, organisation=organisation)
    here.answer(found, _table(found))


def _table(found: Iterable[plaza.Certificate]) -> Table:
    heads = ["version#", "provider", "runtime", "device", "passed", "placement", "parity"]
    heads += ["ms at 1/4/16#", "rows/s#", "MiB#", "load ms#", "made (UTC)"]
    return table_of(heads, [_row(one) for one in found])


def _row(one: plaza.Certificate) -> Sequence[str]:
    times = (one.latency_us.get(rows) for rows in ("1", "4", "16"))
    return [
        str(one.version),
        one.provider,
        one.runtime,
        one.device,
        "yes" if one.passed else f"no: {one.reason}",
        ", ".join(f"{name} {nodes}" for name, nodes in one.placement.items()) or "-",
        "-" if one.parity is None else f"{one.parity['max_rel']:.1e}",
        "/".join("-" if us is None else f"{us / 1000:.3g}" for us in times),
        f"{one.rows_per_second:,.0f}",
        str(one.peak_bytes // _MIB),
        f"{one.load_us / 1000:.0f}",
        moment(one.made_unix_us) or "-",
    ]
