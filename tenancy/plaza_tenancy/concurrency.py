"""How many requests of a node may be inside at once, and which keys go first.

Keys that follow one another by rotation have these limits together: setting one sets all.
"""

from __future__ import annotations

from plaza_core.errors import InvalidInput
from plaza_core.ids import KeyId
from plaza_core.principal import TenantScope
from plaza_tenancy.nodes import Kind, Node, find_to_limit, line_of
from plaza_tenancy.schema import KeyRow
from plaza_tenancy.store import Store

_MOST = 1_000_000
_PRIORITIES = range(-10, 11)


class Concurrency:
    """Who may set what is as with budgets: see `nodes.find_to_limit`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def set(self, scope: TenantScope, node: Node, limit: int | None) -> int | None:
        """Most requests inside at once over all replicas; None: no limit of its own.

        Raises NotFound, Forbidden, InvalidInput.
        """
        if limit is not None and not 1 <= limit <= _MOST:
            raise InvalidInput(f"a number of requests from 1 to {_MOST}", input="limit")
        with self._store.change(scope, "concurrency.set", node.name) as change:
            found = find_to_limit(change.session, scope, node)
            change.organisation, change.project = found.organisation, found.project
            change.target = found.id
            if found.row.max_concurrent == limit:
                change.nothing_to_do()
            change.before = {"limit": found.row.max_concurrent}
            change.after = {"limit": limit}
            for row in line_of(change.session, found):
                row.max_concurrent = limit
        return limit

    def set_priority(self, scope: TenantScope, key: KeyId, priority: int) -> int:
        """Within its organisation, requests of the key with the higher number (−10 to 10) go first.

        Raises NotFound, Forbidden, InvalidInput.
        """
        if priority not in _PRIORITIES:
            raise InvalidInput("a priority is a whole number from -10 to 10", input="priority")
        with self._store.change(scope, "concurrency.set_priority", key) as change:
            found = find_to_limit(change.session, scope, Node(Kind.KEY, key))
            assert isinstance(found.row, KeyRow)
            change.organisation, change.project = found.organisation, found.project
            if found.row.priority == priority:
                change.nothing_to_do()
            change.before, change.after = {"priority": found.row.priority}, {"priority": priority}
            for row in line_of(change.session, found):
                assert isinstance(row, KeyRow)
                row.priority = priority
        return priority
