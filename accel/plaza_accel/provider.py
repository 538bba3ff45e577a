"""The contract of an accelerator, and how one is found.

A provider is an object behind an entry point of group `plaza.accelerators`; Plaza's own come
through the same door. It states what it costs, which options it takes, whether it can be used
here and why not, and it opens bundles (so it is a `RunnerFactory`).

Providers fail closed: a model asked to run on one runs there whole, or is refused. ONNX Runtime
by itself ignores options it does not know, and moves what it cannot place to the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict, ValidationError

from plaza_core.errors import InvalidInput, ProviderUnavailable
from plaza_core.manifest import Manifest
from plaza_core.plugins import ACCELERATORS, load
from plaza_core.ports import Runner

Options = TypeVar("Options", bound="ProviderOptions")


class ProviderOptions(BaseModel):
    """Base of a provider's option schema: unknown names are errors, values are frozen.

    Each field has a description; they are shown by `plaza doctor` and the documentation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Device:
    """One device that a provider can use now."""

    name: str
    kind: str
    """`cpu`, `gpu` or `npu`."""
    memory_bytes: int | None = None


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
    def schema(self) -> type[ProviderOptions]:
        """The options it takes."""

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
