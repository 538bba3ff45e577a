"""Two organisations with one of everything, and whoever asks for what is in the lab of one."""

from __future__ import annotations

from plaza_core.inference import UsageRecord
from plaza_core.usage_wire import to_lines
from tests.serving.control.matrix import (
    ABSENT,
    LAB,
    MATRIX,
    ORG,
)


class Tenants:
    """`orchid` with the projects `orchid-lab`, whose things are tried, and `orchid-side`; and
    `globex`."""

    def __init__(self, world):
        self.world = world
        self.keys: dict[str, str | None] = {"none": None}
        self.things: set[str] = set()
        """Ids and names in the lab: for its owner alone."""
        self.home: set[str] = set()
        """Ids and names of the organisation around it: not for strangers."""
        self._people = self._hands = 0
        self.upload = None

    async def settle(self, make_bundle):
        world = self.world
        made = await world.organisation("orchid", owner={"role": "admin"}, gone={"role": "admin"})
        self.keys |= {"owner": made["owner"], "revoked": made["gone"]}
        for project in ("orchid-lab", "orchid-side"):
            await self.as_owner("POST", f"{ORG}/projects", json={"name": project})
        side = {"role": "admin", "project": "orchid-side"}
        self.keys["project"] = (await self.as_owner("POST", f"{ORG}/keys", json=side))["key"]
        stranger = await world.organisation("globex", admin={"role": "admin"})
        self.keys["stranger"] = stranger["admin"]
        await self.as_owner("DELETE", f"{ORG}/keys/{made['gone'].split('_')[1]}")
        await self.register(make_bundle("petal"))
        await self.use()
        await self.remember()

    async def as_owner(self, method, path, **more):
        answer = await self.world.ask(self.keys["owner"], method, path, **more)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def register(self, bundle):
        lab = {"role": "engineer", **LAB, "label": "label-of-the-lab"}
        self.lab_key = (await self.as_owner("POST", f"{ORG}/keys", json=lab))["key"]
        async with self.world.client(self.lab_key) as client:
            upload = (await client.post("/api/v1/uploads")).json()["upload"]
            for path, content in bundle.items():
                await client.put(f"/api/v1/uploads/{upload}/files/{path}", content=content)
            done = await client.post(f"/api/v1/uploads/{upload}/commit", json=LAB)
        assert done.status_code == 200, done.text
        self.model = done.json()
        index = await self.as_owner("POST", "/api/v1/indexes", json={"name": "petal", **LAB})
        words = {"documents": [{"id": "1", "text": "words-of-the-lab"}]}
        path = "/api/v1/indexes/orchid-lab.petal/documents"
        await self.as_owner("PUT", path, json=words)
        self.index = index["id"]

    async def use(self):
        shown = await self.as_owner("GET", ORG)
        projects = (await self.as_owner("GET", f"{ORG}/projects"))["items"]
        self.ids = {p["name"]: p["id"] for p in projects} | {"orchid": shown["id"]}
        record = UsageRecord(
            organisation=self.ids["orchid"],
            project=self.ids["orchid-lab"],
            key=self.lab_key.split("_")[1],
            request_id="request-of-the-lab",
            model=self.model["model"],
            version=1,
            digest=self.model["digest"],
            provider="cpu",
            rows=1,
            compute_us=424_242,
            host_us=10,
            latency_us=1000,
            outcome="ok",
            at_unix_us=self.world.clock.unix_us() - 1,
            replica="r1",
        )
        async with self.world.node() as node:
            sent = await node.post("/internal/v1/usage", content=to_lines([record]))
        assert sent.json() == {"accepted": 1, "new": 1}

    async def remember(self):
        self.home = {self.ids["orchid"], self.ids["orchid-side"], "orchid"}
        self.home |= {self.keys[who].split("_")[1] for who in ("owner", "project", "revoked")}
        self.things = {
            self.ids["orchid-lab"], "orchid-lab", "petal", "label-of-the-lab", "424242",
            "request-of-the-lab", self.lab_key.split("_")[1],
            self.model["model"], self.model["digest"], self.index, "words-of-the-lab",
        }  # fmt: skip

    async def call(self, name, who, *, about_nothing=False):
        """The answer of route `name` to `who`, on fresh things of the owner's."""
        row, key = MATRIX[name], self.keys[who]
        path, more = row.path, dict(row.more)
        if about_nothing:
            home = who == "stranger"  # the others are in the organisation, and know it
            path, more = rename(path, home), rename(more, home)
        else:
            path = await self.filled(path, more)
        async with self.world.client(key) as client:
            return await client.request(name.split(" ")[0], path, **more)

    async def filled(self, path, more):
        if "{key}" in path:
            made = await self.as_owner("POST", f"{ORG}/keys", json={"role": "consumer", **LAB})
            path = self.put(path, "{key}", made["id"])
        if "{member}" in path:
            body = {"email": self.address(), "role": "consumer", **LAB}
            made = await self.as_owner("POST", f"{ORG}/members", json=body)
            self.things.add(body["email"])
            path = self.put(path, "{member}", made["id"])
        if "{upload}" in path:
            if self.upload is not None:
                await self.world.ask(self.keys["owner"], "DELETE", f"/api/v1/uploads/{self.upload}")
            self.upload = (await self.as_owner("POST", "/api/v1/uploads"))["upload"]
            path = self.put(path, "{upload}", self.upload)
        if "{proposal}" in path:
            path = self.put(path, "{proposal}", await self.proposal())
        if "email" in more.get("json", {}):
            more["json"] = more["json"] | {"email": self.address()}
        return path.replace("{sha256}", self.model["digest"])

    async def proposal(self):
        """Somebody moves an alias in MLflow, each time another one."""
        self._hands += 1
        alias = f"hand-{self._hands}"
        self.world.tracker.models[self.model["model"]].aliases[alias] = 1
        self.world.parts.registrar.mirror.poll()
        found = (await self.as_owner("GET", "/api/v1/proposals"))["items"]
        return next(p["id"] for p in found if p["alias"] == alias)

    def put(self, path, name, thing):
        self.things.add(thing)
        return path.replace(name, thing)

    def address(self):
        self._people += 1
        return f"person-{self._people}@orchid.test"

    def leaks(self, answer, who):
        """Which of the ids and names that `who` may not know are in the answer."""
        hidden = {"owner": set(), "project": self.things}.get(who, self.things | self.home)
        said = answer.text + str(answer.headers)
        return {thing for thing in hidden if thing in said}

    async def lab(self):
        """All that is in the lab, as its owner sees it."""
        found = []
        for what in ("keys", "members"):
            items = (await self.as_owner("GET", f"{ORG}/{what}"))["items"]
            found += [i for i in items if i["project_name"] == "orchid-lab"]
        found += (await self.as_owner("GET", "/api/v1/models"))["items"]
        return found


def rename(value, home):
    """The same request about something that never was; `home`: in no organisation either."""
    if isinstance(value, dict):
        return {name: rename(each, home) for name, each in value.items()}
    if isinstance(value, str):
        for name, other in ABSENT.items():
            value = value.replace(name, other)
        if home:
            value = value.replace("orchid", "no-such-one")
    return value
