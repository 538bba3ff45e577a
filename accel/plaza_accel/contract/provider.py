"""The contract of an accelerator, and how one is found.

A provider is an object behind an entry point of group `plaza.accelerators`; Plaza's own come
through the same door. It states what it costs, which options it takes, whether it can be used
here and why not, and it opens bundles (so it is a `RunnerFactory`).

Providers fail closed: a model asked to run on one runs there whole, or is refused. ONNX Runtime
by itself ignores options it does not know, and moves what it cannot place to the CPU.

Two mechanisms, one contract: `providers/classic.py` for wheels that replace ONNX Runtime (one
environment each), `providers/plugin.py` for libraries that are registered beside it. How to write
one: docs/providers.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from plaza_accel.contract.metering import Metering
from plaza_accel.contract.needs import Needs
from plaza_core.errors import InvalidInput, PlazaError, ProviderUnavailable
from plaza_core.manifest import Manifest
from plaza_core.plugins import ACCELERATORS, load
from plaza_core.running import Runner

Options = TypeVar("Options", bound="ProviderOptions")


class ProviderOptions(BaseModel):
    """Base of a provider's option schema: unknown names are errors, values are frozen.

    Each field has a description; `describe` shows them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


class AcceleratorOptions(ProviderOptions):
    """What every provider but `cpu` takes besides the options of its runtime."""

    cpu_share: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="Largest part of a model's nodes that may run on the CPU; above it the model "
        "is refused, naming the nodes.",
    )
    weight: int = Field(
        1, ge=1, le=100_000, description="Compute units charged per microsecond of the device."
    )
    ray_amount: float = Field(
        1.0,
        gt=0.0,
        le=64.0,
        description="How much of the Ray resource one replica takes; replicas with a fraction "
        "share a device.",
    )
    buckets: dict[str, tuple[int, ...]] = Field(
        default_factory=dict,
        description="Axis name to the sizes that it is padded to, where the provider compiles per "
        "shape. `batch` left out: powers of two up to the model's largest batch.",
    )

    @field_validator("buckets")
    @classmethod
    def _ascending(cls, value: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        for axis, sizes in value.items():
            if not sizes or sizes[0] < 1 or list(sizes) != sorted(set(sizes)):
                raise ValueError(f"the sizes of '{axis}' must be positive and ascending")
        return value


@dataclass(frozen=True, slots=True)
class Device:
    """One device that a provider can use now."""

    name: str
    kind: str
    """`cpu`, `gpu` or `npu`."""
    memory_bytes: int | None = None
    """None where it cannot be told without opening the device."""


@dataclass(frozen=True, slots=True)
class RayResource:
    """What one replica takes of a node, beside its CPUs."""

    name: str
    """`GPU`, `NPU`, or a custom resource that the operator gives to nodes."""
    amount: float = 1.0


@dataclass(frozen=True, slots=True)
class Versions:
    """What a certificate is bound to: another of either is another certificate."""

    provider: str
    """Distribution and version of what brings the provider."""
    runtime: str
    """ONNX Runtime of this process."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a provider can be used in this process, in words an operator can act on."""

    usable: bool
    reason: str
    devices: tuple[Device, ...] = ()


class PlacedRunner(Runner, Protocol):
    """A runner that can prove where its nodes are."""

    @property
    def placement(self) -> Mapping[str, int]:
        """Execution provider of ONNX Runtime -> number of graph nodes placed on it."""


@runtime_checkable
class AcceleratorProvider(Protocol):
    """What an entry point of `plaza.accelerators` names. Frozen: options make a new one."""

    @property
    def name(self) -> str:
        """As pools, certificates and usage records write it; equal to the entry point's name."""

    @property
    def weight(self) -> int:
        """Compute units per microsecond of this device; the CPU's is 1."""

    @property
    def metering(self) -> Metering:
        """How the time of its runs is told: what callers pay for."""

    @property
    def schema(self) -> type[ProviderOptions]:
        """The options it takes, each with a description."""

    @property
    def resource(self) -> RayResource | None:
        """What its replicas take in Ray; None: nothing but CPUs."""

    @property
    def static_shapes(self) -> bool:
        """Whether it compiles per shape, so that its models run in declared shapes only."""

    @property
    def needs(self) -> Needs:
        """What the sandbox must let its library through to, with these options. Told without
        importing a runtime: a process of another environment asks."""

    def versions(self) -> Versions:
        """Raises ProviderUnavailable where it is not installed."""

    def probe(self) -> Probe:
        """Look at this machine. Takes milliseconds, allocates no device memory, never raises."""

    def with_options(self, options: Mapping[str, Any]) -> Self:
        """The same provider with other options. Raises InvalidInput naming the option."""

    def open(self, directory: Path, manifest: Manifest) -> PlacedRunner:
        """As `RunnerFactory.open`; ProviderUnavailable if a node would land elsewhere."""

    def weigh(self, directory: Path, manifest: Manifest) -> int:
        """As `RunnerFactory.weigh`, of the memory that this provider uses."""


def select(name: str, options: Mapping[str, Any] | None = None) -> AcceleratorProvider:
    """The installed provider `name`, usable here and configured.

    Raises NotFound for a name that is not installed, ProviderUnavailable with the probe's reason,
    InvalidInput naming an option it does not take.
    """
    found = load(ACCELERATORS, name)
    if not isinstance(found, AcceleratorProvider) or found.name != name:
        raise ProviderUnavailable(f"the plug-in behind '{name}' is not a provider of that name")
    probe = found.probe()
    if not probe.usable:
        raise ProviderUnavailable(f"'{name}' cannot be used here: {probe.reason}")
    return found.with_options(options) if options else found


def needs_of(name: str, options: Mapping[str, Any] | None = None) -> Needs:
    """What the provider `name`, as it is installed here, needs with `options`.

    Nothing where it is not installed or does not take them: the child then finds the same, and its
    refusal says so. Imports the provider, and no runtime.
    """
    try:
        found = load(ACCELERATORS, name)
        if not isinstance(found, AcceleratorProvider):
            return Needs()
        return (found.with_options(options) if options else found).needs
    except PlazaError:
        return Needs()


def parse_options(schema: type[Options], options: Mapping[str, Any]) -> Options:
    """Validate options against a schema. Raises InvalidInput naming the first wrong one."""
    try:
        return schema.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(sorted(schema.model_fields)) or "none"
            raise InvalidInput(
                f"no such option; this provider takes: {known}", input=where
            ) from None
        raise InvalidInput(first["msg"], input=where) from None


def describe(schema: type[ProviderOptions]) -> list[tuple[str, str, str]]:
    """(name, default, description) of each option, for the documentation."""
    return [
        (name, str(field.get_default(call_default_factory=True)), field.description or "")
        for name, field in schema.model_fields.items()
    ]
