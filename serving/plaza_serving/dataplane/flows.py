"""The tree of those who wait: organisations with their weights, and inside them the keys.

    organisation   tag += cost / weight             a cap on its part of the pool, where it has one
      └─ key       tag += cost × waiting keys of its project      priority, then tag

One level inside the organisation suffices to treat projects equally and then their keys: the keys
of a project that wait share one part, so a key's tag grows by cost × their number. A project with
ten busy keys gets as much as a project with one. It differs from two levels only in that a key
that comes or goes counts from the next request on.

A tag is virtual time in µs: what was served, over the weight. Only differences count; as a float it
is exact to a µs for a century of work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING

from plaza_serving.dataplane.work import Work

if TYPE_CHECKING:
    from plaza_serving.dataplane.lane import Lane

PATIENCE = 8
"""A waiting key is passed over by higher priorities for 8 requests per waiting key, not more."""

Queues = dict["Key", list[tuple[int, int, int, Work]]]
"""Key -> heap of (request's priority, deadline, serial, work): what the key itself says is urgent,
then the earliest deadline."""

_BY_PRIORITY = attrgetter("order", "tag")
_BY_SERVED = attrgetter("served")


@dataclass(slots=True, eq=False)
class Level:
    """The keys of one organisation that have one priority; `virtual` is where they have got to."""

    order: int
    virtual: float = 0.0


@dataclass(slots=True, eq=False)
class Project:
    """`keys` is how many of its keys have requests waiting."""

    keys: int = 0


@dataclass(slots=True, eq=False)
class Organisation:
    """What one organisation has waiting, in which lanes, and how much it was served."""

    weight: int = 1
    pace: float | None = None
    """ns of time that must pass per µs of cost, so that the borrowing limit holds; None: no cap."""
    tag: float = 0.0
    lifts: int = 0
    free_ns: int = 0
    """Capped: when what it was served so far has been earned."""
    held: bool = False
    """Whether none of it may be taken now: too many workers wait for runs of it."""
    picks: int = 0
    """Requests taken from it so far."""
    waiting_keys: int = 0
    mixed: bool = False
    """Whether its keys differ in priority."""
    lanes: dict[Lane, Queues] = field(default_factory=dict)
    levels: dict[int, Level] = field(default_factory=dict)
    projects: dict[str | None, Project] = field(default_factory=dict)

    def pick(self, keys: Iterable[Key]) -> Key:
        """Highest priority, then lowest tag; but first who was passed over for too long."""
        if self.mixed:
            longest = min(keys, key=_BY_SERVED)
            if self.picks - longest.served >= PATIENCE * self.waiting_keys:
                return longest
        return min(keys, key=_BY_PRIORITY)

    def first(self) -> Lane:
        """The lane of the request that is next in this organisation."""
        key = self.pick([key for queues in self.lanes.values() for key in queues])
        heads = [(queues[key][0][:3], lane) for lane, queues in self.lanes.items() if key in queues]
        return min(heads, key=lambda head: head[0])[1]


@dataclass(slots=True, eq=False)
class Key:
    organisation: Organisation
    project: Project
    level: Level
    order: int
    """Minus the priority: the lowest goes first."""
    tag: float = 0.0
    lifts: int = 0
    served: int = 0
    """The organisation's `picks` when this key was last served or began to wait."""
    queues: int = 0
    """In how many lanes it has requests waiting."""

    def join(self) -> None:
        """Its first request begins to wait: no credit for the time it was away."""
        self.project.keys += 1
        self.organisation.waiting_keys += 1
        self.served = self.organisation.picks
        if self.tag < self.level.virtual:
            self.tag = self.level.virtual
            self.lifts += 1

    def leave(self) -> None:
        self.project.keys -= 1
        self.organisation.waiting_keys -= 1

    def charge(self, work: Work, estimate_us: float, now_ns: int) -> None:
        """The work is taken: pay what it will probably cost."""
        organisation, parts = self.organisation, self.project.keys
        work.flow, work.parts, work.estimate_us = self, parts, estimate_us
        work.lifts = organisation.lifts + self.lifts
        organisation.tag += estimate_us / organisation.weight
        organisation.picks += 1
        if organisation.pace is not None:
            organisation.free_ns = max(now_ns, organisation.free_ns) + round(
                estimate_us * organisation.pace
            )
        self.served = organisation.picks
        self.level.virtual = self.tag
        self.tag += estimate_us * parts

    def correct(self, work: Work, cost_us: float) -> None:
        """The work is done: pay the rest, or get back what was too much.

        Whoever was idle since and was lifted gets nothing back: that would be banked credit.
        """
        more, organisation = cost_us - work.estimate_us, self.organisation
        if organisation.pace is not None:
            organisation.free_ns += round(more * organisation.pace)
        if more > 0 or work.lifts == organisation.lifts + self.lifts:
            organisation.tag += more / organisation.weight
            self.tag += more * work.parts
