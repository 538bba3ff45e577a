"""Marks that move a version between its states; aliases do the rest (`states`).

    registered ◀─withdraw── examined ──stage──▶ staged        any ──retire──▶ retired
               ──examined─▶          ◀─unstage─                   ◀─restore──

Each verb again, where everything is as asked, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from plaza_core.errors import Conflict
from plaza_core.ports import ModelVersion
from plaza_core.principal import TenantScope
from plaza_core.running import Examination
from plaza_tenancy.checks import valid_text
from plaza_tenancy.models import own_model, version_view
from plaza_tenancy.outbox import post_states
from plaza_tenancy.rows import examination_facts
from plaza_tenancy.schema import ModelRow, VersionRow
from plaza_tenancy.states import (
    aliases_of,
    demand_callable,
    demand_fit,
    served_by,
    state_of,
    version_of,
)
from plaza_tenancy.store import Change, Store


class _Marked:
    """One version in the hands of a verb."""

    def __init__(self, change: Change, model: ModelRow, row: VersionRow) -> None:
        self.change = change
        self.model = model
        self.row = row
        self.serving = served_by(aliases_of(change.session, model))

    def view(self) -> ModelVersion:
        return version_view(self.row, self.model.name, self.serving)

    def nothing_to_do(self) -> ModelVersion:
        self.change.nothing_to_do()
        return self.view()

    def demand_idle(self, what: str) -> None:
        """Raises Conflict naming the aliases that give it traffic."""
        if names := self.serving.get(self.row.version):
            raise Conflict(
                f"version {self.row.version} serves as {', '.join(sorted(names))}: {what}",
                input="version",
            )


class Lifecycle:
    """`room`: most bytes that a replica may hold of models, or None where nobody knows."""

    def __init__(self, store: Store, room: int | None = None) -> None:
        self._store = store
        self._room = room

    def stage(self, scope: TenantScope, name: str, version: int) -> ModelVersion:
        """Replicas open it now and keep it warm. Raises Conflict unless it may be called,
        DoesNotFit."""
        with self._change(scope, "model.stage", name, version) as marked:
            row = marked.row
            if row.staged is not None:
                return marked.nothing_to_do()
            demand_callable(row)
            demand_fit(row, self._room)
            row.staged, row.staged_by = marked.change.now, scope.actor
            return marked.view()

    def unstage(self, scope: TenantScope, name: str, version: int) -> ModelVersion:
        """It is opened on its first use again. An alias that means it keeps it open."""
        with self._change(scope, "model.unstage", name, version) as marked:
            if marked.row.staged is None:
                return marked.nothing_to_do()
            _unstage(marked.row)
            return marked.view()

    def retire(self, scope: TenantScope, name: str, version: int) -> ModelVersion:
        """Nobody calls it any more. Raises Conflict naming the aliases while it serves."""
        with self._change(scope, "model.retire", name, version) as marked:
            row = marked.row
            if row.retired is not None:
                return marked.nothing_to_do()
            marked.demand_idle("promote another before it is retired")
            _unstage(row)
            row.retired, row.retired_by = marked.change.now, scope.actor
            return marked.view()

    def restore(self, scope: TenantScope, name: str, version: int) -> ModelVersion:
        """What was retired may be called again, if it was examined."""
        with self._change(scope, "model.restore", name, version) as marked:
            if marked.row.retired is None:
                return marked.nothing_to_do()
            marked.row.retired = marked.row.retired_by = None
            return marked.view()

    def withdraw(
        self, scope: TenantScope, name: str, version: int, *, reason: str = ""
    ) -> ModelVersion:
        """Its examination counts no more: nobody may call it until it is examined again.

        Raises Conflict naming the aliases while it serves.
        """
        valid_text(reason, input="reason")
        with self._change(scope, "model.withdraw", name, version) as marked:
            row = marked.row
            if row.withdrawn is not None:
                return marked.nothing_to_do()
            marked.demand_idle("promote another before its examination is withdrawn")
            _unstage(row)
            row.withdrawn, row.withdrawn_by = marked.change.now, scope.actor
            row.withdrawn_because = reason
            return marked.view()

    def examined(
        self, scope: TenantScope, name: str, version: int, found: Examination
    ) -> ModelVersion:
        """Keep what another examination found. A version that failed it counts as not examined.

        Raises Conflict naming the aliases when it failed and serves.
        """
        with self._change(scope, "model.examine", name, version) as marked:
            row = marked.row
            if not found.passed:
                marked.demand_idle(f"its examination failed now ({found.why}); promote another")
                _unstage(row)
            row.examination = examination_facts(found)
            row.withdrawn = row.withdrawn_by = row.withdrawn_because = None
            return marked.view()

    @contextmanager
    def _change(
        self, scope: TenantScope, action: str, name: str, version: int
    ) -> Iterator[_Marked]:
        with self._store.change(scope, action, name[:200]) as change:
            model = own_model(change, scope, name)
            marked = _Marked(change, model, version_of(change.session, model, version))
            before = state_of(marked.row, marked.serving)
            change.before = _facts(marked)
            yield marked
            change.session.flush()
            change.after = _facts(marked)
            if state_of(marked.row, marked.serving) != before:
                post_states(change, model, marked.serving, version)


def _unstage(row: VersionRow) -> None:
    row.staged = row.staged_by = None


def _facts(marked: _Marked) -> dict[str, object]:
    row = marked.row
    facts: dict[str, object] = {"version": row.version, "digest": row.digest}
    facts["state"] = state_of(row, marked.serving)
    if row.withdrawn_because:
        facts["because"] = row.withdrawn_because
    return facts
