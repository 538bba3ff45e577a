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


def test_every_verb_about_tenants_demands_a_scope():
    """Methods that open a transaction take a scope, but for a named few; those few, and nobody
    else, look over the wall between tenants."""
    by_key = {"Access.authenticate"}  # a key's text says whose it is: sees that key alone
    # From replicas and control, about a key that was authenticated: see that key's organisation.
    by_place = {f"Idempotency.{name}" for name in ("claim", "renew", "complete", "release")}
    by_name = {"Access._organisation"}  # an operator's look-up of an organisation
    free = {
        "Tenancy.bootstrap",  # before there is any key
        "Tenancy.table",  # the whole hub, for its own replicas
        "Tenancy.table_version",
        "Outbox.pending",  # for MLflow, all tenants in order
        "Outbox.done",
        "Outbox.waiting",
        "Outbox.known",
        "Outbox.tell_again",
        "Outbox.expire",
        "Proposals.noticed",
        "Ledger.ingest",  # from replicas, all tenants at once
        "Members.bind",  # at login: the invitations of one verified e-mail
        "Sessions.open",  # a person, of no tenant
        "Sessions.known",
        "Sessions.find",
        "Sessions.close",
        "Idempotency.expire",
        "Hosts.patterns",  # the hub's own list
        "Alerts.raise_due",  # by the hub, about all budgets
        "Alerts.accounts",
        "Deliveries.take",  # to all targets
        "Deliveries.note",
        "Deliveries.expire",
        "Leases.exchange",  # from replicas, many tenants at once
        "Leases.close",
        "Leases.held_by",
        "Leases.drift",  # by the hub, about all books
        "Prices.list",  # the same for everybody
    }
    without, over_the_wall = set(), set()
    for path in (ROOT / "tenancy" / "plaza_tenancy").glob("*.py"):
        if path.name == "store.py":
            continue
        for kind in (node for node in ast.parse(path.read_text()).body if _is_class(node)):
            for method in kind.body:
                if not isinstance(method, ast.FunctionDef):
                    continue
                name = f"{kind.name}.{method.name}"
                used = {node.attr for node in ast.walk(method) if isinstance(node, ast.Attribute)}
                takes = {argument.arg for argument in method.args.args}
                public = not method.name.startswith("_")
                takes |= used & {"scope", "_scope"}  # given when the object was made
                if public and used & OPENERS and not takes & {"scope", "_scope", "principal"}:
                    without.add(name)
                if used & {"read_everything", "append_everything"}:
                    over_the_wall.add(name)
    assert without == free | by_key | by_place
    assert over_the_wall == (free | by_name) - {"Tenancy.bootstrap"}  # a change, by a system scope


def _is_class(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef) and not node.name.startswith("_")
