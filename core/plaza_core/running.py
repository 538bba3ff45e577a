"""The seams by which models are examined, opened and run.

    serving ──Runner/RunnerFactory, Cells──▶ accel        serving ──Family──▶ models
    registry ──Examiner──▶ accel

Each has a twin in `plaza_core.testing` that passes the same tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec

from plaza_core.certificate import Certificate
from plaza_core.ids import OrganisationId
from plaza_core.manifest import Manifest
from plaza_core.table import VersionEntry
from plaza_core.tensors import Array, Signature


class Runner(Protocol):
    """One opened model. `run` is thread-safe and blocks: an event loop calls it only for what is
    known to take microseconds."""

    @property
    def signature(self) -> Signature: ...
    @property
    def provider(self) -> str: ...
    @property
    def resident_bytes(self) -> int:
        """Estimated memory held, for the byte budget of a replica."""

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Compute. `outputs` None means all. Raises ModelFailed; native text stays in the log."""

    def close(self) -> None: ...


class RunnerFactory(Protocol):
    def open(self, directory: Path, manifest: Manifest) -> Runner:
        """Open `model.onnx` of a verified bundle directory; warm it with one synthetic run.

        Raises InvalidBundle when graph and manifest disagree, ProviderUnavailable otherwise.
        """

    def weigh(self, directory: Path, manifest: Manifest) -> int:
        """The `resident_bytes` that the opened bundle will have, without opening it."""


@runtime_checkable
class RemoteRunner(Runner, Protocol):
    """A runner whose work is done in another process, which may end before it is closed."""

    @property
    def ended(self) -> bool:
        """Its process is gone; every further call raises CellDied."""

    def idle(self, now_ns: int) -> bool:
        """Whether it has been unused for so long that its process is better given back."""

    def bound(self, until_ns: int) -> None:
        """What the calling thread asks from here on must have ended by then (monotonic)."""

    def cpu_ns(self) -> int:
        """Processor time there that the calling thread's calls, its family's too, have cost."""


class Cells(Protocol):
    """Where versions run that nobody has vouched for: each in a sandboxed process of its own."""

    def weigh(self, directory: Path, entry: VersionEntry) -> int:
        """The most memory, in bytes, that its process may hold; beyond that it is ended."""

    def open(
        self, directory: Path, entry: VersionEntry, organisation: OrganisationId
    ) -> tuple[RemoteRunner, Family]:
        """As `RunnerFactory.open`, and the family, which reads the bundle there too.

        Also raises CellDied, Quarantined; Unavailable where this machine has no sandbox.
        """

    def close(self) -> None:
        """End them all."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What the sandboxed child found about one bundle on one provider."""

    passed: bool
    reason: str
    provider: str
    runtime: str
    nodes: Mapping[str, int]
    """Execution provider -> number of graph nodes placed on it."""
    peak_bytes: int
    run_us: int
    rule: str | None = None
    """Of a refusal: the id of the rule it rests on; ids keep their meaning."""
    node: str | None = None
    """Of a refusal: the node of the graph it speaks of, where there is one."""

    @property
    def why(self) -> str:
        """The reason of a refusal with its rule and node, for one line."""
        where = f", node '{self.node}'" if self.node else ""
        return f"{self.reason} (rule {self.rule}{where})" if self.rule else self.reason

    @classmethod
    def of(cls, certificate: Certificate) -> Examination:
        """The first half of a certificate: what was found before anything was compared."""
        return cls(
            passed=certificate.passed,
            reason=certificate.reason,
            provider=certificate.key.provider,
            runtime=certificate.key.runtime,
            nodes=dict(certificate.placement),
            peak_bytes=certificate.peak_bytes,
            run_us=certificate.latency_us.get(1, 0),
            rule=certificate.rule,
            node=certificate.node,
        )


class Examiner(Protocol):
    def examine(self, directory: Path, manifest: Manifest) -> Examination:
        """Open an untrusted bundle for the first time, in a sandboxed child.

        Raises SandboxUnavailable where there is no sandbox.
        """


class Prepared(msgspec.Struct, frozen=True, eq=False):
    """Tensors for the model and whatever `interpret` needs to make an answer of its outputs."""

    tensors: dict[str, Array]
    rows: int
    context: Any = None
    size: int | None = None
    """Work in the family's own measure (tokens, pixels), padding included; None: the rows."""


class Family(Protocol):
    """What a model means: how a task payload becomes tensors and outputs become an answer.

    One instance per opened bundle version; both methods run on worker threads.
    """

    def prepare(self, payload: Any) -> Prepared:
        """Raises InvalidInput naming the field, UnsupportedMedia, PayloadTooLarge."""

    def interpret(self, outputs: Mapping[str, Array], context: Any) -> Any:
        """The answer as JSON-ready values (or a dataclass the door knows how to write)."""


class FamilyFactory(Protocol):
    """Entry point of group `plaza.families`."""

    def __call__(self, directory: Path, manifest: Manifest) -> Family:
        """Check `manifest.options`, read assets of the bundle. Raises InvalidBundle."""
