"""What a replica has served since it started, as its doors tell it: counts and times per version.

A caller is told of the requests of its own organisation alone: how busy others are is theirs to
know. `dataplane.counting` keeps the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lasting:
    """How often something was timed, and how long it took together, in nanoseconds."""

    count: int = 0
    ns: int = 0


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """Runs of one size, in rows, that carried requests of the organisation."""

    size: int
    prepare: Lasting
    run: Lasting
    interpret: Lasting


@dataclass(frozen=True, slots=True)
class VersionStatistics:
    """One version, since this replica started. Durations below `failed` are of successes only."""

    name: str
    """One that means the model to the caller."""
    version: int
    last_ms: int = 0
    """When the latest request was admitted, in ms since 1970; 0: never."""
    rows: int = 0
    """Of successful requests."""
    runs: int = 0
    """Of the model; several requests may share one."""
    succeeded: Lasting = Lasting()
    """From admission to the answer."""
    failed: Lasting = Lasting()
    """Admitted and not answered: errors, deadlines, callers that left."""
    queued: Lasting = Lasting()
    prepare: Lasting = Lasting()
    run: Lasting = Lasting()
    """Each request counts the whole time of the run that it shared."""
    interpret: Lasting = Lasting()
    batches: tuple[BatchStatistics, ...] = ()
