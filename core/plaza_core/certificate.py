"""Certificates: what the examination of one bundle on one kind of place found. Frozen values.

    digest × (provider, its version, runtime, device, CPU features) ──▶ safe? where placed? equal?

The safety gate, the placement and the parity decide (`passed`); times, memory and throughput
advise. Nothing is said about any other place: another runtime or processor needs its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from plaza_core.ids import Digest, ModelId

BATCHES: Final = (1, 4, 16)
"""Rows of the batches that are timed, as far as the model takes them."""

_Frozen = ConfigDict(frozen=True, extra="forbid")
_Word = Annotated[str, Field(max_length=256)]
_Count = Annotated[int, Field(ge=0)]


class Environment(BaseModel):
    """The kind of place that a certificate holds for: all of its key but the bundle."""

    model_config = _Frozen

    provider: _Word
    """Plaza's name of it, as in `plaza.accelerators`."""
    provider_version: _Word
    """The distribution that brings it and its version, such as `onnxruntime-openvino 1.24.1`."""
    runtime: _Word
    """The version that ONNX Runtime says of itself, such as `onnxruntime 1.31.1`."""
    device: _Word
    """The device model that its probe names; several of one machine joined by ` + `."""
    cpu_features: Annotated[str, Field(max_length=1024)]
    """Instruction sets of the host, sorted, by which ONNX Runtime chooses kernels."""

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that stand for all of it, where tables are sent often."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class CertificateKey(Environment):
    """What a certificate is about. Two with equal keys are about the same; the newer one counts."""

    digest: Digest

    @property
    def environment(self) -> Environment:
        return Environment(**self.model_dump(exclude={"digest"}))

    @classmethod
    def of(cls, digest: Digest, environment: Environment) -> CertificateKey:
        return cls(digest=digest, **environment.model_dump())


class Parity(BaseModel):
    """How far the provider's answers are from those of the provider `cpu` on the same inputs."""

    model_config = _Frozen

    max_abs: float = Field(ge=0, allow_inf_nan=False)
    """Largest difference of any element."""
    max_rel: float = Field(ge=0, allow_inf_nan=False)
    """The same over the largest magnitude in that output; what is held against the tolerance."""
    tolerance: float = Field(ge=0, allow_inf_nan=False)
    """The most that `max_rel` may be. What is not of floating point must be equal."""


class Certificate(BaseModel):
    """What was found. `reason` is for people; `rule` and `node` name what refused the bundle."""

    model_config = _Frozen

    key: CertificateKey
    passed: bool
    reason: Annotated[str, Field(max_length=1000)]
    rule: _Word | None = None
    """The rule of the safety gate that was broken, or of this job: `parity`, `placement`."""
    node: _Word | None = None
    placement: Mapping[_Word, _Count] = {}
    """Execution provider of ONNX Runtime -> graph nodes that it runs."""
    parity: Parity | None = None
    """None: on `cpu`, which is what the others are compared with, or where nothing ran."""
    latency_us: Mapping[int, _Count] = {}
    """Rows of a batch -> median time of one run of it, in microseconds. Advice."""
    rows_per_second: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """The best of the batches above: rows of all runs over their time. Advice."""
    peak_bytes: _Count = 0
    """The most memory that opening it and running one row took, above an idle process. Advice."""
    load_us: _Count = 0
    """Opening it for the first time in a fresh process, warm-up included, in microseconds."""
    made_unix_us: int

    def standing(self) -> Standing:
        return Standing(
            provider=self.key.provider,
            environment=self.key.environment.fingerprint,
            passed=self.passed,
            reason="" if self.passed else self.reason,
            placement=self.placement,
        )


class Standing(BaseModel):
    """What the hub table tells replicas of one certificate of a version."""

    model_config = _Frozen

    provider: str
    environment: str
    """`Environment.fingerprint`."""
    passed: bool
    reason: str = ""
    placement: Mapping[str, int] = {}


class NodeCertificate(BaseModel):
    """What a replica tells control: a certificate that it made where it runs."""

    model_config = _Frozen

    model: ModelId
    version: int
    certificate: Certificate


def standing_in(standings: Iterable[Standing], environment: Environment) -> Standing | None:
    """What is known of a version in a pool of this environment; None: it has no certificate."""
    mine = environment.fingerprint
    return next((one for one in standings if one.environment == mine), None)


def newest(certificates: Iterable[Certificate]) -> list[Certificate]:
    """One of each key, the first in order: `certificates` come newest first."""
    found: dict[CertificateKey, Certificate] = {}
    for one in certificates:
        found.setdefault(one.key, one)
    return list(found.values())
