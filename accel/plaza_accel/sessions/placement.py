"""Where the nodes of an opened model are, and the refusal that names those elsewhere.

ONNX Runtime records it while it partitions the graph; `get_providers()` only repeats what was asked
for. Names of nodes come from a stranger's file, so they are shortened to printable ASCII.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import onnxruntime

from plaza_core.errors import ProviderUnavailable

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class PlacedNode:
    """One node of the graph and the execution provider that runs it."""

    execution: str
    op: str
    name: str
    """May be empty: ONNX asks for no names."""

    def __str__(self) -> str:
        return f"{self.op} '{self.name}'" if self.name else self.op


class NotPlaced(ProviderUnavailable):
    """A model that would not run whole, or within the stated share, where it was asked to."""

    def __init__(
        self, provider: str, nodes: Collection[PlacedNode], total: int, limit: float
    ) -> None:
        self.nodes = tuple(nodes)
        self.total = total
        shown = [str(node) for node in self.nodes]
        # Equal ones (nameless nodes of one kind) are said once.
        said = [f"{n} × {text}" if n > 1 else text for text, n in Counter(shown).items()]
        more = f" and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
        most = f"; at most {limit:.0%} may (option cpu_share)" if limit else ""
        super().__init__(
            f"'{provider}' cannot run every node of this model; {len(self.nodes)} of {total} would "
            f"land elsewhere{most}: {', '.join(said[:_SHOWN])}{more}"
        )


def placed_nodes(session: onnxruntime.InferenceSession) -> list[PlacedNode]:
    """Every node with its execution provider, as recorded."""
    return [
        PlacedNode(part.ep_name, _plain(node.op_type), _plain(node.name))
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]


def check(provider: str, nodes: Collection[PlacedNode], own: Collection[str], limit: float) -> None:
    """Raise NotPlaced if more than `limit` (0 to 1) of the nodes are not on one of `own`."""
    foreign = [node for node in nodes if node.execution not in own]
    if len(foreign) > limit * len(nodes):
        raise NotPlaced(provider, foreign, len(nodes), limit)


def _plain(text: str) -> str:
    return "".join(c if " " < c < "\x7f" and c != "'" else "_" for c in text[:64])
