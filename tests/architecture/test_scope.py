"""A tenant scope is minted in one place, and nobody goes round it to the tables."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "accel", "models", "registry", "tenancy", "training", "serving", "client")
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
OPENERS = {"read", "read_actor", "read_everything", "change", "append", "append_everything"}
MINT = ROOT / "tenancy" / "plaza_tenancy" / "access.py"


def makers_of(name: str, tree: ast.AST) -> list[int]:
    """Lines that construct the class `name`, also under another name or by `replace`."""
    aliases = {name}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            aliases |= {item.asname for item in node.names if item.name == name and item.asname}
        if isinstance(node, ast.Assign) and _refers(node.value, aliases):
            aliases |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if _refers(node.func, aliases):
                lines.append(node.lineno)
            if any(_refers(argument, aliases) for argument in node.args):
                lines.append(node.lineno)  # handed to something that may call it
            if _refers(node.func, {"replace"}) and any(
                keyword.arg in {"organisation", "actor"} for keyword in node.keywords
            ):
                lines.append(node.lineno)
    return lines


def _refers(node: ast.AST, names: set[str]) -> bool:
    return (isinstance(node, ast.Name) and node.id in names) or (
        isinstance(node, ast.Attribute) and node.attr in names
    )


def test_only_access_mints_scopes():
    found = {
        str(path.relative_to(ROOT)): lines
        for path in SOURCES
        if path != MINT and (lines := makers_of("TenantScope", ast.parse(path.read_text())))
    }
    assert found == {}
    assert makers_of("TenantScope", ast.parse(MINT.read_text()))


def test_the_search_finds_who_goes_round_it():
    for code in (
        "TenantScope(None, None, 'x')",
        "principal.TenantScope(organisation=None, project=None, actor='x')",
        "from plaza_core.principal import TenantScope as S\nS(None, None, 'x')",
        "S = TenantScope\nS(None, None, 'x')",
        "partial(TenantScope, None)(None, 'x')",
        "dataclasses.replace(scope, organisation=None)",
    ):
        assert makers_of("TenantScope", ast.parse(code)), code


BY_KEY = {
    "access.Access.authenticate": "a key's text says whose it is: sees that key alone",
    "idempotency.Idempotency.claim": "about a key that was authenticated: its organisation's rows",
    "idempotency.Idempotency.renew": "as `claim`",
    "idempotency.Idempotency.complete": "as `claim`",
    "idempotency.Idempotency.release": "as `claim`",
}
"""Who takes no scope and yet is confined to one organisation."""
BY_THE_HUB = {
    "front.Tenancy.bootstrap": "makes the first key; a change by a system scope",
    "certificates.Certificates.add_of_node": "by a replica; a change by a scope of its own",
    "rollouts.Rollouts.stop": "the gate's verdict; a change by a scope of its own",
}
OVER_THE_WALL = {
    "front.Tenancy.table": "the whole hub, for its own replicas",
    "front.Tenancy.table_version": "as `table`",
    "outbox.Outbox.pending": "for MLflow, of all tenants in order",
    "outbox.Outbox.done": "as `pending`",
    "outbox.Outbox.waiting": "as `pending`",
    "outbox.Outbox.known": "as `pending`",
    "outbox.Outbox.tell_again": "as `pending`",
    "outbox.Outbox.expire": "as `pending`",
    "proposals.Proposals.noticed": "what MLflow shows, of any tenant's model",
    "ledger.Ledger.ingest": "usage from replicas, of all tenants at once",
    "members.Members.bind": "at login, the invitations of one verified e-mail, wherever they are",
    "sessions.Sessions.open": "a person, of no tenant",
    "sessions.Sessions.known": "a person may be a member anywhere; says yes or no",
    "sessions.Sessions.find": "a person's memberships, all of them: who they may act as",
    "sessions.Sessions.close": "a person, of no tenant",
    "idempotency.Idempotency.expire": "by the hub, by age alone",
    "hosts.Hosts.patterns": "the hub's own list",
    "alerts.Alerts.raise_due": "by the hub, about all budgets",
    "alerts.Alerts.accounts": "as `raise_due`",
    "deliveries.Deliveries.take": "by the hub, to all targets",
    "deliveries.Deliveries.note": "as `take`",
    "deliveries.Deliveries.expire": "as `take`",
    "leases.Leases.exchange": "from replicas, keys of many tenants at once",
    "leases.Leases.close": "as `exchange`",
    "leases.Leases.held_by": "as `exchange`",
    "leases.Leases.holders": "as `exchange`",
    "upkeep.drift": "by the hub, about all books; one organisation after another",
    "upkeep.expire": "by the hub, by age alone",
    "prices.Prices.list": "no tenant's: the same for everybody",
    "rollouts.Rollouts.running": "for the gate, of all tenants",
    "rollouts.Rollouts.keep": "as `running`",
    "collecting.Collector.sweep": "by the hub: content is shared by all",
    "collecting.Collector._take": "as `sweep`",
    "visibility.Visibilities._guests": "who shares a model names other organisations",
    "access.Access._organisation": "an operator's look-up of an organisation by name",
}
"""Who sees the rows of all tenants, and why. Decision 15 tells of them; nobody else may."""


def test_every_verb_about_tenants_demands_a_scope():
    """Whatever opens a transaction takes a scope, but for a named few; those few, and nobody else,
    look over the wall between tenants."""
    without, over_the_wall = set(), set()
    for name, function in transactions():
        used = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
        takes = {argument.arg for argument in function.args.args}
        takes |= used & {"scope", "_scope"}  # given when the object was made
        private = function.name.startswith("_")  # called by those that are looked at here
        if not private and not takes & {"scope", "_scope", "principal"}:
            without.add(name)
        if used & {"read_everything", "append_everything"}:
            over_the_wall.add(name)
    # A verb without a scope that only hands on to one that is listed opens nothing itself.
    assert over_the_wall == set(OVER_THE_WALL)
    assert without - over_the_wall == set(BY_KEY) | set(BY_THE_HUB)


def transactions():
    """(module.Class.method or module.function, its syntax) of all that open a transaction."""
    for path in sorted((ROOT / "tenancy" / "plaza_tenancy").glob("*.py")):
        if path.name == "store.py":
            continue
        for node in ast.parse(path.read_text()).body:
            inside = [(f"{path.stem}.", node)]
            if isinstance(node, ast.ClassDef):
                inside = [(f"{path.stem}.{node.name}.", method) for method in node.body]
            for prefix, function in inside:
                if isinstance(function, ast.FunctionDef) and _opens(function):
                    yield prefix + function.name, function


def _opens(function: ast.FunctionDef) -> bool:
    """Whether it calls one of the store's doors; `x.read()` of a file is none."""
    stores = {"store", "_store"}
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in OPENERS
        and (
            (isinstance(node.value, ast.Name) and node.value.id in stores)
            or (isinstance(node.value, ast.Attribute) and node.value.attr in stores)
        )
        for node in ast.walk(function)
    )


def test_the_decision_on_the_wall_names_everybody_who_looks_over_it():
    (record,) = (ROOT / "docs" / "decisions").glob("0015-*.md")
    told = record.read_text()
    for name in OVER_THE_WALL:
        verb = name.partition(".")[2]
        assert f"`{verb}`" in told, f"{verb} looks over the wall, and decision 15 does not say why"
