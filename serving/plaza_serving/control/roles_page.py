"""docs/roles.md, made from the code: who may do what.

python -m plaza_serving.control.roles_page > docs/roles.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

from fastapi.routing import iter_route_contexts

from plaza_core.principal import RIGHTS, Right, Role
from plaza_serving.control.app import routed
from plaza_serving.control.guard import Needs, guards

_HEAD = """# Roles

Written by `make docs` from the code; a test fails when it is stale.

A key, and a person's membership, has one **role** at one **node**: an organisation, or one of its
projects. A role is a set of rights; every route of the admin API needs one of them. Somebody bound
to a project sees and changes that project only. **Operators** are admins of the operating
organisation (`plaza`): what is marked *operators* is theirs alone, whatever the role says.

Three rules hold beside the table:

1. Nobody makes a key or a member with a right that they do not have, nor outside their own node.
2. Who is bound to a project cannot change what limits that project, nor their own key's limits.
3. What belongs to another organisation, or to another project for who is bound to one, does not
   exist: 404.

`plaza whoami` tells the role and the rights of the key in use.

## Rights

"""
_OF_RIGHTS = {
    Right.INFER: "call models: every inference endpoint; search",
    Right.MODELS_READ: "see models, versions and cards; inference metadata",
    Right.MODELS_WRITE: "register versions, move aliases",
    Right.MODELS_PUBLISH: "make a model public to all organisations",
    Right.DOCUMENTS_WRITE: "make, fill and drop search indexes",
    Right.KEYS_READ: "list keys, without their secrets",
    Right.KEYS_WRITE: "create, rotate, expire and revoke keys",
    Right.MEMBERS_READ: "list people",
    Right.MEMBERS_WRITE: "invite people, change roles, remove",
    Right.TENANTS_READ: "see organisations, projects, limits, shares, alerts",
    Right.TENANTS_WRITE: "make projects, set limits below the organisation, set alerts",
    Right.USAGE_READ: "see usage, budgets, prices and estimates",
    Right.AUDIT_READ: "see the audit trail and statements; verify both chains",
}


class Verb(NamedTuple):
    route: str
    summary: str
    right: Right | None
    operators: bool


def verbs() -> Iterator[Verb]:
    """Every route of the admin API that a key may use."""
    app = routed()
    described = app.openapi()["paths"]
    for context in iter_route_contexts(app.routes):
        path = (context.path_format or "").replace(":path", "")
        if not path.startswith("/api/"):
            continue
        (guard,) = guards(context)
        assert isinstance(guard, Needs)
        for method in sorted(context.methods or ()):
            told = described[path][method.lower()]
            words = told.get("description", "")
            operators = guard.operator or words.startswith("For operators")
            yield Verb(f"{method} {path}", told["summary"], guard.right, operators)


def page() -> str:
    roles = list(Role)
    heads = " | ".join(role.value for role in roles)
    rule = "|---" * (len(roles) + 1) + "|---|\n"
    lines = [_HEAD, f"| right | {heads} | what it is for |\n{rule}"]
    for right, words in _OF_RIGHTS.items():
        marks = " | ".join(_mark(right, role) for role in roles)
        lines.append(f"| `{right.value}` | {marks} | {words} |\n")
    lines.append(f"\n## Verbs\n\n| verb | {heads} | route |\n{rule}")
    for verb in sorted(verbs(), key=lambda one: one.route.split(" ")[1]):
        marks = " | ".join(_mark(verb.right, role) for role in roles)
        if verb.operators:
            marks = " | ".join(["operators", *[""] * (len(roles) - 1)])
        lines.append(f"| {verb.summary} | {marks} | `{verb.route}` |\n")
    return "".join(lines)


def _mark(right: Right | None, role: Role) -> str:
    return "✓" if right is None or right in RIGHTS[role] else ""


if __name__ == "__main__":
    sys.stdout.write(page())
