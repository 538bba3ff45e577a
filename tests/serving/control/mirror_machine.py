"""A hub, its MLflow and people at both, in any order, with outages: what always holds.

The hub is the real database and the real mirror; MLflow is the twin in memory, which other tests
compare with the real one. Only the shell around it can fail: before a change, or after it, so that
nobody knows whether it happened.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from plaza_core.errors import PlazaError, Unavailable
from plaza_core.principal import Right
from plaza_core.testing import MemoryTracker
from plaza_core.tracking import ProposalState
from plaza_registry.mirror import Mirror
from tests.tenancy.world import make_version

ALIASES = ("champion", "canary", "spare")
_numbers = itertools.count()


class Shell(MemoryTracker):
    """`up` False: nothing is answered. `lost`: that many answers get lost on the way back."""

    up = True
    lost = 0
    writes = 0

    def apply(self, item):
        self._demand()
        number = super().apply(item)
        self.writes += 1
        if self.lost:
            self.lost -= 1
            raise Unavailable("the answer was lost")
        return number

    def shown(self, models):
        self._demand()
        return super().shown(models)

    def version_of(self, model, number):
        self._demand()
        return super().version_of(model, number)

    def _demand(self):
        if not self.up:
            raise Unavailable("MLflow is away")


@dataclass
class Edit:
    """What a hand did to an alias, until the hub has met it."""

    number: int | None
    version: int | None
    known_before: int


class MirrorMachine(RuleBasedStateMachine):
    """Subclasses give `world`: one database for all examples, each with its own organisation."""

    world = None

    @initialize()
    def begin(self):
        self.tenancy = self.world.tenancy
        name = f"org-{next(_numbers)}"
        whole = self.world.organisation(name)
        self.scope = self.tenancy.scope(self.world.operator, Right.MODELS_WRITE, organisation=name)
        assert self.scope.organisation == whole.organisation
        self.tracker = Shell()
        self.digest = 1
        self.edits: dict[str, Edit] = {}
        self.restart()
        self.model = self.tenancy.records.add_version(self.scope, make_version(1))[0].model
        self.drain()

    # ── the hub ──────────────────────────────────────────────────────────────────────────────────
    @rule()
    def restart(self):
        """Nothing is kept in memory."""
        self.mirror = Mirror(OfOneModel(self), self.tracker)

    @rule()
    def add_version(self):
        self.digest += 1
        self.tenancy.records.add_version(self.scope, make_version(self.digest))

    @rule(alias=st.sampled_from(ALIASES), pick=st.integers(0, 9))
    def promote(self, alias, pick):
        self.tenancy.records.set_alias(self.scope, "detector", alias, 1 + pick % self.digest)

    @rule(alias=st.sampled_from(ALIASES[1:]))
    def remove_alias(self, alias):
        if alias in self.tenancy.records.get(self.scope, "detector").aliases:
            self.tenancy.aliases.remove(self.scope, "detector", alias)

    @rule()
    def drain(self):
        before = self._before()
        self.mirror.drain()
        self._met(before, polled=False)

    @rule()
    def poll(self):
        before, polled = self._before(), True
        try:
            self.mirror.poll()
        except Unavailable:
            polled = False
        self._met(before, polled=polled)

    @rule(accept=st.booleans(), pick=st.integers(0, 9))
    def decide(self, accept, pick):
        found = self._open()
        if not found:
            return
        one = found[pick % len(found)]
        try:
            if not accept or (one.version is None and one.number is not None):
                self.tenancy.proposals.reject(self.scope, one.id)
            elif one.version is None:
                self.tenancy.aliases.remove(self.scope, "detector", one.alias)
            else:
                self.tenancy.records.set_alias(self.scope, "detector", one.alias, one.version)
        except PlazaError:  # the champion stays
            self.tenancy.proposals.reject(self.scope, one.id)
        assert self.tenancy.proposals.get(self.scope, one.id).state != ProposalState.OPEN

    # ── MLflow, and who is at it by hand ─────────────────────────────────────────────────────────
    @rule(up=st.booleans())
    def outage(self, up):
        self.tracker.up = up

    @rule()
    def lose_an_answer(self):
        self.tracker.lost = 1

    @precondition(lambda self: self._there())
    @rule(alias=st.sampled_from(ALIASES), pick=st.integers(0, 9))
    def move_by_hand(self, alias, pick):
        numbers = sorted(self._there().versions)
        if numbers:
            self._by_hand({alias: numbers[pick % len(numbers)]})

    @precondition(lambda self: self._there())
    @rule(alias=st.sampled_from(ALIASES))
    def delete_alias_by_hand(self, alias):
        self._by_hand({alias: None})

    @precondition(lambda self: self._there())
    @rule()
    def make_version_by_hand(self):
        self._there().add(None)

    @precondition(lambda self: self._there())
    @rule(pick=st.integers(0, 9))
    def delete_version_by_hand(self, pick):
        there = self._there()
        if there.versions:
            number = sorted(there.versions)[pick % len(there.versions)]
            self._by_hand({alias: None for alias, at in there.aliases.items() if at == number})
            there.delete(number)

    @precondition(lambda self: self._there())
    @rule()
    def delete_model_by_hand(self):
        del self.tracker.models[self.model]
        self.edits.clear()  # nobody can tell what was there

    # ── what always holds ────────────────────────────────────────────────────────────────────────
    def teardown(self):
        if not hasattr(self, "model"):
            return
        self.tracker.up, self.tracker.lost = True, 0
        self._settle()
        assert self.tenancy.proposals.waiting(self.model).items == 0
        self._shown_is_true(but_for={one.alias: one.number for one in self._open()})
        for one in self._open():
            self.tenancy.proposals.reject(self.scope, one.id)
        self._settle()
        assert self._open() == []
        self._shown_is_true(but_for={})

    def _settle(self):
        """Without people all comes to rest, and then nothing is written or proposed any more."""
        for _ in range(4):
            self.poll()
            self.drain()
        count, writes = len(self._all()), self.tracker.writes
        for _ in range(3):
            self.poll()
            self.drain()
        assert (len(self._all()), self.tracker.writes) == (count, writes)
        assert self.edits == {}

    def _shown_is_true(self, but_for):
        there = self._there()
        shown = {alias: there.versions[at] for alias, at in there.aliases.items()}
        truth = self.tenancy.records.get(self.scope, "detector").aliases
        for alias in {*shown, *truth, *but_for}:
            if alias in but_for:
                agreed = there.aliases.get(alias) == but_for[alias]
                assert agreed or shown.get(alias) == truth.get(alias), alias
            else:
                assert shown.get(alias) == truth.get(alias), alias

    def _by_hand(self, moved):
        there = self._there()
        for alias, number in moved.items():
            if there.aliases.get(alias) == number:
                continue
            version = None if number is None else there.versions[number]
            self.edits[alias] = Edit(number, version, len(self._all()))
            if number is None:
                there.aliases.pop(alias)
            else:
                there.aliases[alias] = number

    def _before(self):
        """What is about to be said of each alias, and what it means, before the mirror acts."""
        truth = self.tenancy.records.get(self.scope, "detector").aliases
        saying: dict[str, set] = {alias: {truth.get(alias)} for alias in ALIASES}
        for item in self._pending():
            if item.kind == "alias":
                saying[item.payload["alias"]].add(item.payload["version"])
        return saying, dict(self._known())

    def _met(self, before, *, polled):
        """No hand's doing gets lost: once the hub has met it (known it, or written over it), it is
        a proposal, or the hub was saying the same, or it put back what the hub knew."""
        saying, known = before
        there = self._there()
        for alias, edit in list(self.edits.items()):
            overwritten = there is not None and there.aliases.get(alias) != edit.number
            if not (polled or overwritten or self._known().get(alias) != known.get(alias)):
                continue
            del self.edits[alias]
            unseen = known.get(alias) == edit.number
            stranger = edit.number is not None and edit.version is None
            same = not stranger and edit.version in saying[alias]
            kept = any(
                (one.alias, one.number, one.version) == (alias, edit.number, edit.version)
                for one in self._all()
            )
            assert unseen or same or kept, (alias, edit)

    def _there(self):
        return self.tracker.models.get(self.model)

    def _known(self):
        return self.tenancy.proposals.known(self.model)[self.model].aliases

    def _pending(self):
        items = self.tenancy.proposals.pending(10_000)
        return [item for item in items if item.payload["model"] == self.model]

    def _open(self):
        return self.tenancy.proposals.list(self.scope)

    def _all(self):
        return self.tenancy.proposals.list(self.scope, state=None)


class OfOneModel:
    """The mirror's records, of the example's own model alone: the database is shared."""

    def __init__(self, machine):
        self._machine = machine
        self._records = machine.tenancy.proposals

    def pending(self, limit, after=0):
        return [item for item in self._machine._pending() if item.id > after][:limit]

    def known(self, model=None):
        return self._records.known(model or self._machine.model)

    def __getattr__(self, name):
        return getattr(self._records, name)
