"""MLflow is told what the hub changed, in order, and watched for what people change there.

    outbox, oldest first ──▶ was the alias moved by hand? ──▶ tell MLflow ──▶ mark as told
    poll, now and then   ──▶ what differs from what it was last known to show? ──▶ proposal

Both hold the same turn, so whatever differs was done by somebody else. A hand that moves an alias
between the look and the write (milliseconds) is overwritten unseen: MLflow has no conditional
write. Nobody waits for MLflow longer than they say: telling runs on a thread of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from plaza_core.errors import Conflict, NotFound, PlazaError, Unavailable
from plaza_core.ids import ModelId
from plaza_core.ports import MirrorRecords, OutboxItem, VersionTracker
from plaza_core.tracking import MirrorState, Sighting

_log = logging.getLogger(__name__)
_PAGE = 100
_PATIENCE_S = 2.0
_SLOW = "MLflow has not answered yet"
_GONE = (
    "MLflow lost what it knew of this model, and lost it again while it was told; "
    "somebody deletes there what the hub registers"
)


@dataclass(frozen=True, slots=True)
class Told:
    """Whether MLflow knows all of a model; if not, why, in words for people."""

    tracked: bool
    why: str | None = None


def _always(_name: str) -> AbstractContextManager[bool]:
    return nullcontext(True)


class Mirror:
    """Thread-safe. `drain` and `poll` block on MLflow and belong on a background thread."""

    def __init__(
        self,
        records: MirrorRecords,
        tracker: VersionTracker,
        *,
        turn: Callable[[str], AbstractContextManager[bool]] = _always,
    ) -> None:
        """`turn(name)` tells whether this process alone, of all on one database, may do `name`."""
        self._records = records
        self._tracker = tracker
        self._turn = turn
        self._one = threading.Lock()
        self._state = MirrorState()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="mirror")
        self._work: Future[bool] | None = None
        self._starting = threading.Lock()

    @property
    def state(self) -> MirrorState:
        """How the last try of this process went."""
        return self._state

    def tell(self, model: ModelId, patience_s: float = _PATIENCE_S) -> Told:
        """Have MLflow told of what was committed before this call, on another thread.

        Waits `patience_s` at most; what is not told then will be.
        """
        deadline = time.monotonic() + patience_s
        mine = False
        while not mine:
            work, mine = self._begin()
            try:
                work.result(timeout=max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                return Told(tracked=False, why=_SLOW)
            except PlazaError as error:
                return Told(tracked=False, why=error.message)
        if self._records.waiting(model).items == 0:
            return Told(tracked=True)
        state = self._state
        return Told(tracked=False, why=state.stuck.get(model) or state.problem or _SLOW)

    def _begin(self) -> tuple[Future[bool], bool]:
        """A drain, and whether it began after this call: one under way may have looked before."""
        with self._starting:
            if self._work is not None and not self._work.done():
                return self._work, False
            self._work = self._threads.submit(self.drain)
            return self._work, True

    def close(self) -> None:
        """Nothing is told any more; waits for what is being told."""
        self._threads.shutdown(cancel_futures=True)

    def drain(self) -> bool:
        """Tell MLflow what it has not heard yet, oldest first; True when nothing is left.

        False also while another process is telling it. A change never overtakes an earlier one of
        the same model: what fails stays pending, and so does all that follows it for that model.
        Calling it again is always safe.
        """
        with self._one, self._turn("outbox") as mine:
            return mine and self._tell_all()

    def poll(self) -> int:
        """Look for aliases that were moved in MLflow by hand; returns how many became proposals.

        A model that MLflow lost altogether is told again. Raises Unavailable.
        """
        with self._one, self._turn("outbox") as mine:
            return self._look() if mine else 0

    def _look(self) -> int:
        known = self._records.known()
        if not known:
            return 0
        try:
            shown = self._tracker.shown(known)
        except Unavailable as error:
            self._state = MirrorState(error.message, self._state.stuck)
            raise
        proposals = 0
        for model, last in known.items():
            if model in shown:
                proposals += self._compare(model, last.aliases, shown[model])
            elif last.settled or last.aliases:  # else it is only about to be told
                _log.warning("MLflow lost a model; it is told again", extra={"model": model})
                self._records.tell_again(model, lost=True)
        return proposals

    def _compare(self, model: ModelId, last: Mapping[str, int], now: Mapping[str, int]) -> int:
        proposals = 0
        for alias in sorted(last.keys() | now.keys()):
            number = now.get(alias)
            if number != last.get(alias):
                version = None if number is None else self._tracker.version_of(model, number)
                proposals += self._records.noticed(Sighting(model, alias, number, version))
        return proposals

    def _tell_all(self) -> bool:
        stuck: dict[ModelId, str] = {}
        again: set[ModelId] = set()
        after = 0
        while items := self._records.pending(_PAGE, after):
            for item in items:
                after, model = item.id, ModelId(item.payload["model"])
                if model in stuck:
                    continue
                try:
                    if self._tell(item, model):
                        continue
                    if model in again:
                        stuck[model] = _GONE
                        continue
                    again.add(model)
                    self._tell_again(model)
                    break  # its items wait anew, behind the others
                except Conflict as error:
                    _log.error("outbox item %d: %s", item.id, error.message)
                    stuck[model] = error.message
                except Unavailable as error:
                    _log.warning("outbox item %d waits: %s", item.id, error.message)
                    self._state = MirrorState(error.message, stuck)
                    return False
        self._state = MirrorState(None, stuck)
        return not stuck

    def _tell(self, item: OutboxItem, model: ModelId) -> bool:
        """False when MLflow lacks what the item is about."""
        if item.kind == "alias":
            self._look_before(model, item.payload["alias"])
        try:
            number = self._tracker.apply(item)
        except NotFound as error:
            _log.warning("told again: %s", error.message, extra={"model": model})
            return False
        self._records.done(item.id, number)
        return True

    def _tell_again(self, model: ModelId) -> None:
        lost = model not in self._tracker.shown([model])
        self._records.tell_again(model, lost=lost)

    def _look_before(self, model: ModelId, alias: str) -> None:
        """A hand may have been there since the last poll: what it did is kept as a proposal."""
        known = self._records.known(model).get(model)
        shown = self._tracker.shown([model]).get(model)
        if known is not None and shown is not None:
            last = {alias: known.aliases[alias]} if alias in known.aliases else {}
            self._compare(model, last, {alias: shown[alias]} if alias in shown else {})
