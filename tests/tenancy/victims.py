"""Somebody with one of everything, and all the names it could be asked for."""

from __future__ import annotations

from dataclasses import dataclass

from plaza_core.budget import LeaseAsk
from plaza_core.held import Held
from plaza_core.ids import Digest, KeyId
from plaza_core.indexes import Publication
from plaza_core.principal import Right, Role, TenantScope
from plaza_core.rollout import GatePolicy, RolloutKind
from plaza_core.table import Visibility
from plaza_core.tracking import Sighting
from plaza_core.webhooks import Attempt, HostPattern
from plaza_tenancy.nodes import Kind, Node
from tests.tenancy.world import World, make_certificate, make_record, make_version

URL = "https://hooks.example.org/in"
HOSTS = [HostPattern("hooks.example.org")]


@dataclass(frozen=True)
class Victim:
    """What somebody owns, by all the names it could be asked for."""

    scope: TenantScope
    organisation: str
    project: str
    key: KeyId
    lease: str
    member: KeyId
    webhook: str
    rollout: str
    request: str
    proposal: str
    index: str
    secrets: frozenset[str]
    """Ids and names that may never appear in an answer to anybody else."""


def settle(world: World, name: str, project: str) -> Victim:
    """Somebody with a key, a model, some usage, a budget and a lease on it."""
    tenancy = world.tenancy
    scope = tenancy.scope(world.operator, Right.TENANTS_WRITE, organisation=name, project=project)
    new = tenancy.keys.create(scope, role=Role.ADMIN, label=f"label-of-{name}-{project}")
    version, _ = tenancy.records.add_version(
        scope, make_version(name="hidden", project=project, card=f"card-of-{name}-{project}")
    )
    tenancy.records.set_alias(scope, "hidden", "spare", 1)
    tenancy.proposals.noticed(Sighting(version.model, "by-hand", number=9, version=None))
    (proposal,) = tenancy.proposals.list(scope)
    email = f"somebody@{name}-{project}.test"
    member = tenancy.members.add(scope, email, role=Role.ENGINEER).id
    whole = tenancy.scope(world.operator, Right.TENANTS_WRITE, organisation=name)
    hook = tenancy.webhooks.add(whole, f"{URL}/of-{name}", HOSTS, label=f"hook-of-{name}")
    request = f"request-of-{name}-{project}"
    tenancy.ledger.ingest(
        [
            make_record(
                scope.organisation, request, project=scope.project, key=new.id, model=version.model
            )
        ]
    )
    tenancy.budgets.set(scope, Node(Kind.KEY, new.id), limit=1000)
    tenancy.limits.set_holding(whole, Node(Kind.PROJECT, project), Held.VERSIONS, 9)
    (grant,) = tenancy.leases.exchange("r1", [LeaseAsk(key=new.id, need=10)])
    secrets = {new.id, new.mac, version.model, request, f"label-of-{name}-{project}"}
    secrets |= {member, email, scope.project, grant.lease, proposal.id}
    if project != "lab":  # of the asker's own organisation: its targets are the whole's
        secrets |= {hook.webhook.id, hook.secret, f"{URL}/of-{name}", f"hook-of-{name}"}
    index = tenancy.indexes.create(scope, "kept")
    body = f"document-of-{name}-{project}".encode()
    tenancy.indexes.publish(scope, index.id, Publication(0, 0, body, 1))
    secrets |= {index.id, body.decode()}
    rollout, asked = furnish(world, scope, name, project)
    found = frozenset(secrets | {rollout, asked})
    return Victim(
        scope,
        name,
        project,
        new.id,
        grant.lease,
        member,
        hook.webhook.id,
        rollout,
        asked,
        proposal.id,
        index.id,
        found,
    )


def furnish(world: World, scope: TenantScope, name: str, project: str) -> tuple[str, str]:
    """Versions in every state, a rollout, a model lent to others and one to be published."""
    tenancy, hidden = world.tenancy, f"{project}.hidden"
    for digest in range(2, 7):
        tenancy.records.add_version(scope, make_version(digest, name="hidden", project=project))
    tenancy.cards.set(scope, hidden, 3, f"# card-of-{name}")
    tenancy.certificates.add(scope, hidden, 1, make_certificate(1, device=f"device-of-{name}"))
    tenancy.lifecycle.stage(scope, hidden, 4)
    tenancy.lifecycle.retire(scope, hidden, 5)
    for version in (1, 2):
        tenancy.aliases.promote(scope, hidden, "tried", version)
    tenancy.aliases.promote(scope, hidden, "gated", 1)
    started = tenancy.rollouts.start(
        scope, hidden, "gated", 2, kind=RolloutKind.SHADOW, part=500, policy=GatePolicy()
    )
    tenancy.search.tag(scope, hidden, add=[f"tag-of-{name}"])
    tenancy.records.hold(scope, [Digest("a" * 64)])
    if not any(one.name == "guests" for one in tenancy.organisations.list(world.platform())):
        world.organisation("guests")
    for number, model in enumerate(("lent", "asked")):
        tenancy.records.add_version(scope, make_version(8 + number, name=model, project=project))
    tenancy.visibility.share(scope, f"{project}.lent", ["plaza"])
    tenancy.visibility.set(scope, f"{project}.lent", Visibility.PROJECT)
    admin = world.scope_of(name, Role.ADMIN, Right.MODELS_PUBLISH, project=project)
    asked = tenancy.visibility.publish(admin, f"{project}.asked").request
    assert asked is not None
    return started.id, asked.id


def disable(world: World, victim: Victim) -> None:
    world.tenancy.webhooks.test(
        world.tenancy.scope(world.operator, Right.TENANTS_WRITE, organisation="acme"),
        victim.webhook,
    )
    (message,) = world.tenancy.deliveries.take(1)
    world.tenancy.deliveries.note(message, Attempt(delivered=False, error="gone", gone=True))
