"""Certificates made by sandboxed children: one child opens, measures and compares one bundle.

The examination of a bundle is the first half of its certificate; one child gives both. What it says
is taken as input from a stranger; whether the certificate is passed is decided here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plaza_accel.examination.examine import Count, SandboxExaminer, Word
from plaza_accel.gate.proportion import LEAST_CPU_S
from plaza_accel.gate.rules import printable
from plaza_core.certificate import Certificate, CertificateKey, Environment, Parity
from plaza_core.clock import Clock
from plaza_core.errors import InvalidInput
from plaza_core.ids import Digest
from plaza_core.manifest import Manifest

Said = TypeVar("Said", bound=BaseModel)


class _Measured(BaseModel):
    """The child's word."""

    model_config = ConfigDict(extra="forbid")

    placement: dict[Word, Count] = Field(max_length=32)
    latency_us: dict[Count, Count] = Field(max_length=8)
    rows_per_second: float = Field(ge=0, allow_inf_nan=False)
    peak_bytes: Count
    load_us: Count
    parity: Parity | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where bundles of one pool are certified: its provider, options and interpreter."""

    provider: str
    options: Mapping[str, Any] = field(default_factory=dict)
    python: str = sys.executable


class SandboxCertifier:
    """Certifier of the pools on this machine; see `plaza_core.certificate_ports`.

    `timeout_s` is wall time for one certificate, `memory_mb` its address space; what small bundles
    get of it is in `proportion`.
    """

    def __init__(
        self,
        places: Sequence[Place],
        clock: Clock,
        *,
        timeout_s: float,
        memory_mb: int,
        least_cpu_s: float = LEAST_CPU_S,
    ) -> None:
        self._places = {place.provider: place for place in reversed(places)}
        self.providers: Sequence[str] = tuple(dict.fromkeys(p.provider for p in places))
        self._clock = clock
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._least_cpu_s = least_cpu_s

    def certify(
        self, directory: Path, manifest: Manifest, digest: Digest, provider: str
    ) -> Certificate:
        """See `plaza_core.certificate_ports.Certifier`."""
        place = self._places.get(provider)
        if place is None:
            known = ", ".join(self.providers)
            raise InvalidInput(
                f"no pool of this hub has '{provider}'; there are: {known}. Its operator adds a "
                "pool in the setting 'pools', with an environment that has the provider",
                input="provider",
            )
        examiner = SandboxExaminer(
            self._timeout_s, self._memory_mb, place.python, provider, self._least_cpu_s
        )
        found, said = examiner.look(
            directory, manifest, certify=True, options=dict(place.options) or None
        )
        key = CertificateKey.of(digest, _environment(said, provider))
        made = self._clock.unix_us()
        measured = _said(said, "certificate", _Measured)
        if not found.passed or measured is None:
            reason = "the job gave no readable certificate" if found.passed else found.reason
            return Certificate(
                key=key,
                passed=False,
                reason=reason[:1000],
                rule=found.rule,
                node=found.node,
                made_unix_us=made,
            )
        refusal = _refusal(measured, provider)
        return Certificate(
            key=key,
            passed=refusal is None,
            reason="passed" if refusal is None else refusal[1],
            rule=None if refusal is None else refusal[0],
            made_unix_us=made,
            **dict(measured),
        )


def _refusal(measured: _Measured, provider: str) -> tuple[str, str] | None:
    """(rule, reason), where what was measured does not do."""
    parity = measured.parity
    if parity is None and provider != "cpu":
        return "parity", "its answers were not compared with those of 'cpu'"
    if parity is not None and parity.max_rel > parity.tolerance:
        return "parity", (
            f"its answers differ from those of 'cpu' by {parity.max_rel:.2g} of their magnitude;"
            f" {parity.tolerance:g} is tolerated"
        )
    return None


def _environment(said: Sequence[Mapping[str, Any]], provider: str) -> Environment:
    """Where the child says that it ran; an empty one when it did not get so far."""
    found = _said(said, "environment", Environment)
    if found is not None and found.provider == provider:
        words = {name: printable(word, 1024) for name, word in found.model_dump().items()}
        return Environment(**words)
    return Environment(
        provider=provider, provider_version="", runtime="", device="", cpu_features=""
    )


def _said(said: Sequence[Mapping[str, Any]], word: str, shape: type[Said]) -> Said | None:
    for answer in said:
        if word in answer:
            try:
                return shape.model_validate(answer[word])
            except ValidationError:
                return None
    return None
