"""Plug-ins by entry point: listed without import, loaded when asked for, absence explained."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from plaza_core.errors import NotFound, ProviderUnavailable

FAMILIES = "plaza.families"
ACCELERATORS = "plaza.accelerators"


def available(group: str) -> dict[str, EntryPoint]:
    """Name -> entry point of every installed plug-in of `group`; imports nothing."""
    return {point.name: point for point in entry_points(group=group)}


def load(group: str, name: str) -> Any:
    """Import one plug-in. Raises NotFound for an unknown name, ProviderUnavailable naming the
    distribution and the module it misses."""
    points = available(group)
    if name not in points:
        known = ", ".join(sorted(points)) or "none"
        raise NotFound(f"no '{name}' in {group}; installed: {known}", input=name)
    point = points[name]
    try:
        return point.load()
    except ModuleNotFoundError as error:
        owner = point.dist.name if point.dist else "an unknown distribution"
        raise ProviderUnavailable(f"'{name}' (from {owner}) needs '{error.name}'") from error
