"""Verbs of certificates in control's admin API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plaza._admin import _call, _many, _one
from plaza._http import Call, path_of


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was found about a version on one provider, runtime and device. Times in microseconds."""

    version: int
    digest: str
    provider: str
    provider_version: str
    runtime: str
    device: str
    cpu_features: str
    environment: str
    passed: bool
    reason: str
    rule: str | None
    node: str | None
    placement: Mapping[str, int]
    parity: Mapping[str, float] | None
    """`max_abs`, `max_rel` and the `tolerance` for it, against `cpu`."""
    latency_us: Mapping[str, int]
    rows_per_second: float
    peak_bytes: int
    load_us: int
    made_unix_us: int
    made_by: str
    pools: Sequence[Mapping[str, Any]]
    """Where the version answers by it: `pool`, `path` below the hub's address, `live`."""


def certify(
    name: str, version: int, provider: str, *, organisation: str | None = None
) -> Call[Certificate]:
    """Examine, compare and time a version on a provider of the hub's pools. One that does not pass
    is an answer too."""
    return _call(
        "POST",
        "/models" + path_of(name, "versions", version, "certify"),
        _one(Certificate),
        body={"provider": provider},
        organisation=organisation,
    )


def certificates(
    name: str, *, version: int | None = None, organisation: str | None = None
) -> Call[list[Certificate]]:
    """The newest of each version, provider and environment, newest first."""
    return _call(
        "GET",
        "/models" + path_of(name, "certificates"),
        _many(Certificate),
        version=version,
        organisation=organisation,
    )
