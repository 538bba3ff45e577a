"""Keys of every kind, and calls of every route with them."""

from __future__ import annotations

import re

from plaza_core.budget import LeaseAsk
from plaza_core.keys import issue
from plaza_core.principal import Right
from tests.serving.control.tries import (
    TERMS,
    TRIES,
    Prepared,
)


def proposal_of(world, tenancy, scope):
    """The id of what somebody has just proposed in MLflow for the one model of `scope`."""
    (there,) = world.tracker.models.values()
    name = tenancy.records.visible(scope)[0].name
    there.aliases.pop("by-hand", None)
    if "by-hand" in tenancy.records.get(scope, name).aliases:
        tenancy.aliases.remove(scope, name, "by-hand")
    world.parts.registrar.mirror.drain()
    there.aliases["by-hand"] = 1
    world.parts.registrar.mirror.poll()
    return tenancy.proposals.list(scope)[0].id


class Callers:
    """Keys of every kind: `acme` has one per role, `globex` an admin."""

    def __init__(self, world, acme, globex):
        self.world = world
        self.acme = acme
        self.stranger = globex["admin"]
        self._upload = None
        self._people = 0
        self._untouched = {}
        """Placeholder -> what was made for it, until a call changes something."""
        self.tenancy = world.parts.tenancy
        operator = self.tenancy.authenticate(world.operator)
        self.scope = self.tenancy.scope(operator, Right.TENANTS_WRITE, organisation="acme")
        platform = self.tenancy.platform(operator, Right.TENANTS_WRITE)
        for host in ("hooks.example.org", "old.example.org"):
            self.tenancy.hosts.allow(platform, host)
        self.prepared = Prepared(self.tenancy, acme["admin"])
        self.wrong = issue(b"another pepper", lambda n: bytes(range(n))).text

    async def call(self, name, key, *, acting=False):
        """Status of route `name` called with `key` on a fresh target of `acme`'s.

        `acting` names the organisation in the query, as operators do who act for another.
        """
        attempt = TRIES[name]
        method, template = name.split(" ")
        path = attempt.path or template
        async with self.world.client(key) as client:
            if "{upload}" in path:
                path = path.replace("{upload}", await self.upload_for(key))
            path = path.replace("{pattern}", "old.example.org")
            for placeholder in re.findall(r"\{(\w+)\}", path):
                if placeholder not in self._untouched:
                    self._untouched[placeholder] = await self.make(placeholder)
                path = path.replace(f"{{{placeholder}}}", self._untouched[placeholder])
            query = {"organisation": "acme"} if attempt.whose or acting else {}
            more = attempt.more
            if more.get("json", {}).get("email") == "{new}":
                more = {"json": more["json"] | {"email": self.address()}}
            query |= attempt.query
            answer = await client.request(method, path, params=query, **more)
        if answer.status_code >= 400:
            assert set(answer.json()) == {"error", "code", "input", "request_id"}, (
                "a refusal carries nothing else"
            )
        else:
            self._untouched.clear()
        return answer.status_code

    async def make(self, placeholder):
        """What a route acts upon, new."""
        match placeholder:
            case "webhook":
                return await self.target()
            case "lease":
                return await self.lease()
            case "proposal":
                return proposal_of(self.world, self.tenancy, self.scope)
            case "key":
                return await self.victim()
            case "member":
                return await self.friend()
        return getattr(self.prepared, placeholder)()

    async def upload_for(self, key):
        """An upload of the caller's where it may have one in `acme`, else of an engineer there."""
        begun = await self.world.ask(key, "POST", "/api/v1/uploads?organisation=acme")
        return begun.json()["upload"] if begun.status_code == 201 else await self.engineers_upload()

    async def engineers_upload(self):
        if self._upload is None:
            begun = await self.world.ask(self.acme["engineer"], "POST", "/api/v1/uploads")
            self._upload = begun.json()["upload"]
        return self._upload

    def address(self):
        self._people += 1
        return f"friend{self._people}@acme.test"

    async def friend(self):
        url = "/api/v1/organisations/acme/members"
        body = {"role": "consumer", "email": self.address()}
        made = await self.world.ask(self.acme["admin"], "POST", url, json=body)
        return made.json()["id"]

    async def target(self):
        """A target of `acme`'s alerts, a new one each time."""
        for webhook in self.tenancy.webhooks.list(self.scope):
            self.tenancy.webhooks.remove(self.scope, webhook.id)
        hosts = self.tenancy.hosts.patterns()
        url = "https://hooks.example.org/in"
        return self.tenancy.webhooks.add(self.scope, url, hosts).webhook.id

    async def lease(self):
        (grant,) = self.tenancy.leases.exchange("r9", [LeaseAsk(key=await self.victim(), need=1)])
        return grant.lease

    async def victim(self):
        url = "/api/v1/organisations/acme/keys"
        made = await self.world.ask(self.acme["admin"], "POST", url, json={"role": "consumer"})
        key = made.json()["id"]
        await self.world.ask(self.acme["admin"], "PUT", f"{url}/{key}/budget", **TERMS)
        return key
