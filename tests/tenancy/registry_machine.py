"""The state machine of the registry: every verb in any order, and a model of what it should do.

The model knows four things of a version (retired, withdrawn, staged, gone), a stack of states for
each alias, and who may see what. Checked after every step:
S1 derived states are what the model says · S2 what serves is neither retired, withdrawn nor gone ·
S3 splits sum to 10,000 · S4 replaying history gives the alias, and a rollback exactly the state
before · S5 one audit row for each change, none otherwise · S6 the hub table holds exactly what may
be called · S7 a stranger sees what is public or shared with it, and nothing else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import sqlalchemy
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from plaza_core.errors import Conflict, ModelNotFound
from plaza_core.principal import Right, Role
from plaza_core.rollout import WHOLE, GatePolicy, RolloutKind, RolloutState, Verdict
from plaza_core.table import Visibility
from plaza_tenancy.schema import AuditRow, HubRow
from tests.tenancy.registry_model import Checked, Expected, Marks
from tests.tenancy.world import World, make_version

ALIASES = ("champion", "night")
BAD = Verdict(bad=True, because="failures")
_names = (f"m{n}" for n in itertools.count())
picks = st.integers(0, 5)
aliases = st.sampled_from(ALIASES)
ends = st.sampled_from(["stop", "cancel", "finish"])


class RegistryMachine(Checked):
    open_world: Callable[[], World]

    def __init__(self) -> None:
        super().__init__()
        self.world = self.open_world()
        self.tenancy = self.world.tenancy
        self.name = next(_names)
        for name in ("acme", "city", "lake"):
            self.world.organisation(name)
        self.admin = self.world.scope_of("acme", Role.ADMIN, Right.MODELS_PUBLISH)
        self.others = {
            name: self.world.scope_of(name, Role.CONSUMER, Right.MODELS_READ)
            for name in ("city", "lake")
        }
        self.marks: dict[int, Marks] = {}
        self.aliases = {alias: Expected() for alias in ALIASES}
        self.visibility = Visibility.PROJECT
        self.guests: set[str] = set()
        self.request: str | None = None
        self.digests = itertools.count(1)
        self.ended: list[str] = []

    def teardown(self) -> None:
        self.world.tenancy.close()

    # ── one step: what it should do, and that it leaves one audit row or none ────────────────────
    def trail(self) -> tuple[int, int]:
        with self.tenancy._store.read_everything() as session:
            rows = session.scalar(sqlalchemy.select(sqlalchemy.func.count(AuditRow.id)))
            return rows, session.scalar(sqlalchemy.select(HubRow.revision))

    def step(self, verb, *, changes: bool, refused: bool = False):
        before = self.trail()
        self.world.clock.advance(1)
        try:
            answer = verb()
        except (Conflict, ModelNotFound):
            assert refused, "refused what should be done"
            assert self.trail() == before
            return None
        assert not refused, "did what should be refused"
        assert self.trail() == tuple(n + changes for n in before)
        return answer

    def pick(self, n: int) -> int:
        return sorted(self.marks)[n % len(self.marks)]

    # ── versions ─────────────────────────────────────────────────────────────────────────────────
    @initialize()
    def begin(self):
        self.register()
        self.register()

    @precondition(lambda self: len(self.marks) < 6)
    @rule()
    def register(self):
        new = make_version(next(self.digests), name=self.name, visibility=self.visibility)
        made, created = self.step(
            lambda: self.tenancy.records.add_version(self.admin, new), changes=True
        )
        assert created
        self.marks[made.version] = Marks()
        if made.version == 1:
            self.aliases["champion"].stack = [1]

    @rule(n=picks)
    def stage(self, n):
        version = self.pick(n)
        marks = self.marks[version]
        self.step(
            lambda: self.tenancy.lifecycle.stage(self.admin, self.name, version),
            changes=not marks.staged,
            refused=not marks.callable(),
        )
        marks.staged = marks.staged or marks.callable()

    @rule(n=picks)
    def unstage(self, n):
        version = self.pick(n)
        marks = self.marks[version]
        self.step(
            lambda: self.tenancy.lifecycle.unstage(self.admin, self.name, version),
            changes=marks.staged,
        )
        marks.staged = False

    @rule(n=picks, withdraw=st.booleans())
    def take_out(self, n, withdraw):
        version = self.pick(n)
        marks, life = self.marks[version], self.tenancy.lifecycle
        already = marks.withdrawn if withdraw else marks.retired
        refused = not already and version in self.serving()
        verb = life.withdraw if withdraw else life.retire
        self.step(
            lambda: verb(self.admin, self.name, version), changes=not already, refused=refused
        )
        if already or refused:
            return
        marks.staged = False
        marks.withdrawn |= withdraw
        marks.retired |= not withdraw

    @rule(n=picks)
    def restore(self, n):
        version = self.pick(n)
        marks = self.marks[version]
        self.step(
            lambda: self.tenancy.lifecycle.restore(self.admin, self.name, version),
            changes=marks.retired,
        )
        marks.retired = False

    @rule(n=picks)
    def examine(self, n):
        version = self.pick(n)
        found = make_version().examination
        self.step(
            lambda: self.tenancy.lifecycle.examined(self.admin, self.name, version, found),
            changes=True,
        )
        self.marks[version].withdrawn = False

    @precondition(lambda self: any(marks.retired for marks in self.marks.values()))
    @rule()
    def collect(self):
        newest = max(self.marks)
        going = {v for v, marks in self.marks.items() if marks.retired and v != newest}
        gone = self.step(lambda: self.tenancy.collector.remove(self.admin, 0), changes=bool(going))
        assert {one.version for one in gone} == going
        for version in going:
            del self.marks[version]

    # ── aliases and rollouts ─────────────────────────────────────────────────────────────────────
    @rule(n=picks, alias=aliases, force=st.booleans())
    def promote(self, n, alias, force):
        version, expected = self.pick(n), self.aliases[alias]
        same = expected.stable == version and expected.rollout is None
        busy = expected.rollout is not None and not force
        refused = not same and (not self.marks[version].callable() or busy)
        self.step(
            lambda: self.tenancy.aliases.promote(
                self.admin, self.name, alias, version, force=force
            ),
            changes=not same,
            refused=refused,
        )
        if not same and not refused:
            self.forget(expected)
            expected.stack.append(version)

    def forget(self, expected: Expected) -> None:
        if expected.rollout is not None:
            self.ended.append(expected.rollout)
        expected.end()

    @rule(alias=aliases)
    def rollback(self, alias):
        expected = self.aliases[alias]
        target = expected.stack[-1 if expected.rollout else -2 :][:1] if expected.stack else []
        if not expected.rollout and len(expected.stack) < 2:
            target = []
        there = bool(target) and (
            target[0] is None or self.marks.get(target[0], Marks(retired=True)).callable()
        )
        self.step(
            lambda: self.tenancy.aliases.rollback(self.admin, self.name, alias),
            changes=True,
            refused=not there,
        )
        if there:
            if expected.rollout is None:
                expected.stack.pop()
            self.forget(expected)

    @rule(alias=aliases)
    def remove_alias(self, alias):
        expected = self.aliases[alias]
        refused = expected.stable is None or expected.rollout is not None
        self.step(
            lambda: self.tenancy.aliases.remove(self.admin, self.name, alias),
            changes=True,
            refused=refused,
        )
        if not refused:
            expected.stack.append(None)

    @rule(n=picks, alias=aliases, shadow=st.booleans(), part=st.integers(1, WHOLE - 1))
    def start(self, n, alias, shadow, part):
        self.try_out(self.pick(n), alias, shadow, part)

    @precondition(lambda self: self.promising())
    @rule(n=picks, shadow=st.booleans(), part=st.integers(1, WHOLE - 1))
    def start_well(self, n, shadow, part):
        """Beside the refusals, so that rollouts are not rare."""
        fit = self.promising()
        alias, version = fit[n % len(fit)]
        self.try_out(version, alias, shadow, part)

    def promising(self) -> list[tuple[str, int]]:
        return [
            (alias, version)
            for alias, expected in self.aliases.items()
            for version, marks in self.marks.items()
            if marks.callable() and expected.rollout is None
            if expected.stable not in {None, version}
        ]

    def try_out(self, version: int, alias: str, shadow: bool, part: int) -> None:
        expected = self.aliases[alias]
        refused = (
            expected.stable in {None, version}
            or expected.rollout is not None
            or not self.marks[version].callable()
        )
        kind = RolloutKind.SHADOW if shadow else RolloutKind.CANARY
        made = self.step(
            lambda: self.tenancy.rollouts.start(
                self.admin, self.name, alias, version, kind=kind, part=part, policy=GatePolicy()
            ),
            changes=True,
            refused=refused,
        )
        if made is not None:
            expected.rollout, expected.candidate = made.id, version

    @precondition(lambda self: self.ended)
    @rule(state=ends)
    def end_again(self, state):
        self.bring_to_an_end(Expected(), self.ended[-1], state)

    @precondition(lambda self: any(alias.rollout for alias in self.aliases.values()))
    @rule(n=picks, state=ends)
    def end(self, n, state):
        running = [alias for alias in self.aliases.values() if alias.rollout is not None]
        expected = running[n % len(running)]
        self.bring_to_an_end(expected, expected.rollout, state)

    def bring_to_an_end(self, expected: Expected, rollout: str, state: str) -> None:
        running = expected.rollout is not None
        if state == "stop":
            stopped = self.step(lambda: self.tenancy.rollouts.stop(rollout, BAD), changes=running)
            assert stopped == running
        else:
            how = RolloutState.CANCELLED if state == "cancel" else RolloutState.PROMOTED
            self.step(
                lambda: self.tenancy.rollouts.end(self.admin, rollout, how),
                changes=True,
                refused=not running,
            )
        if running:
            if state == "finish":
                expected.stack.append(expected.candidate)
            self.forget(expected)

    # ── who sees it ──────────────────────────────────────────────────────────────────────────────
    @rule(visibility=st.sampled_from([Visibility.PROJECT, Visibility.PUBLIC]))
    def open_or_close(self, visibility):
        (self.publish if visibility is Visibility.PUBLIC else self.narrow)()

    def narrow(self) -> None:
        wanted = Visibility.PROJECT
        changes = wanted is not self.visibility or self.request is not None
        self.step(
            lambda: self.tenancy.visibility.set(self.admin, self.name, wanted), changes=changes
        )
        self.visibility, self.request = wanted, None

    def publish(self) -> None:
        public = self.visibility is Visibility.PUBLIC
        done = self.step(
            lambda: self.tenancy.visibility.publish(self.admin, self.name),
            changes=not public and self.request is None,
        )
        if not public:
            self.request = done.request.id

    @rule(guest=st.sampled_from(["city", "lake"]), comes=st.booleans())
    def name_a_guest(self, guest, comes):
        (self.share if comes else self.unshare)(guest)

    def share(self, guest: str) -> None:
        refused = self.visibility is Visibility.PUBLIC
        changes = guest not in self.guests or self.visibility is not Visibility.SHARED
        self.step(
            lambda: self.tenancy.visibility.share(self.admin, self.name, [guest]),
            changes=changes,
            refused=refused,
        )
        if not refused:
            self.guests.add(guest)
            self.visibility = Visibility.SHARED

    def unshare(self, guest: str) -> None:
        self.step(
            lambda: self.tenancy.visibility.unshare(self.admin, self.name, guest),
            changes=guest in self.guests,
        )
        self.guests.discard(guest)

    @precondition(lambda self: self.request is not None)
    @rule(approved=st.booleans())
    def decide(self, approved):
        visibility, platform = self.tenancy.visibility, self.world.platform()
        if approved:
            self.step(lambda: visibility.approve(platform, self.request), changes=True)
            self.visibility = Visibility.PUBLIC
        else:
            self.step(lambda: visibility.reject(platform, self.request, reason="no"), changes=True)
        self.request = None
