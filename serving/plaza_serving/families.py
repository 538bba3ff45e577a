"""Where the family of a bundle is found: for this process, and for a cell."""

from __future__ import annotations

from pathlib import Path

from plaza_accel.cells.keeper import Point
from plaza_core import plugins
from plaza_core.errors import InvalidBundle, NotFound
from plaza_core.manifest import Manifest
from plaza_core.running import Family


def open_family(directory: Path, manifest: Manifest, *, max_pixels: int) -> Family:
    """The family plug-in that the manifest names. Raises InvalidBundle when there is none."""
    try:
        factory = plugins.load(plugins.FAMILIES, manifest.family)
    except NotFound:
        raise _no_family(manifest) from None
    family: Family = factory(directory, manifest, **_limits(manifest, max_pixels))
    return family


def family_point(manifest: Manifest, *, max_pixels: int) -> Point:
    """Where a cell finds the same family. Raises InvalidBundle when there is none."""
    point = plugins.available(plugins.FAMILIES).get(manifest.family)
    if point is None:
        raise _no_family(manifest)
    return Point(point.value, _limits(manifest, max_pixels))


def _no_family(manifest: Manifest) -> InvalidBundle:
    return InvalidBundle(f"no family '{manifest.family}' here", input="family")


def _limits(manifest: Manifest, max_pixels: int) -> dict[str, int]:
    """Families of pictures, `vision.*`, are told how large a picture may be."""
    return {"max_pixels": max_pixels} if manifest.family.startswith("vision.") else {}
