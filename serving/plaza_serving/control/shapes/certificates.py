"""Bodies of the routes about certificates."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pydantic import Field

from plaza_core.certificate import Parity
from plaza_core.certificate_ports import Certified
from plaza_core.ids import Digest
from plaza_core.pools import Pool
from plaza_serving.control.shapes.base import Answer, Taken, example


class CertifyOn(Taken):
    model_config = example(provider="cpu")

    provider: str = Field(max_length=64, description="One that a pool of this hub has.")


class ServedBy(Answer):
    """A pool that the certificate holds for, and where to call the model there."""

    pool: str
    path: str = Field(description="Below the address of the inference API.")
    live: bool = Field(description="A replica of this very environment is running.")


class CertificateAnswer(Answer):
    """One certificate. What decides: `rule`, `placement`, `parity`. What advises: the rest."""

    version: int
    digest: Digest
    provider: str
    provider_version: str
    runtime: str
    device: str
    cpu_features: str
    environment: str = Field(description="Stands for the five above, as replicas report it.")
    passed: bool
    reason: str
    rule: str | None = Field(description="What refused it.")
    node: str | None = Field(description="The graph's node that did.")
    placement: dict[str, int] = Field(description="Execution provider -> nodes it runs.")
    parity: Parity | None = Field(description="Against `cpu`; none for `cpu` itself.")
    latency_us: dict[str, int] = Field(description="Rows of a batch -> median time of a run.")
    rows_per_second: float
    peak_bytes: int
    load_us: int
    made_unix_us: int
    made_by: str
    pools: list[ServedBy] = Field(description="Where the version answers by it.")

    @classmethod
    def of(
        cls, found: Certified, model: str, pools: Iterable[Pool], live: Collection[tuple[str, str]]
    ) -> CertificateAnswer:
        """`model` is the full wire name; `live` has (pool, environment) of running replicas."""
        one = found.certificate
        fingerprint = one.key.environment.fingerprint
        serving = [pool for pool in pools if one.passed and pool.provider == one.key.provider]
        return cls(
            **one.key.model_dump(),
            **one.model_dump(exclude={"key", "latency_us", "parity"}),
            version=found.version,
            environment=fingerprint,
            parity=one.parity,
            latency_us={str(rows): us for rows, us in one.latency_us.items()},
            made_by=found.made_by,
            pools=[
                ServedBy(
                    pool=pool.name,
                    path=f"{pool.door_prefix}/v2/models/{model}",
                    live=(pool.name, fingerprint) in live,
                )
                for pool in serving
            ],
        )
