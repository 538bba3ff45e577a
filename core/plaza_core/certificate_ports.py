"""The seams of certificates: who makes them and who keeps them. Twins: `testing_certificates`.

serving ──Certifier──▶ accel        registry, control ──CertificateRecords──▶ tenancy
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from plaza_core.certificate import Certificate
from plaza_core.ids import Digest
from plaza_core.manifest import Manifest
from plaza_core.principal import TenantScope


class Certifier(Protocol):
    """Certifies bundles on the providers of this installation's pools."""

    @property
    def providers(self) -> Sequence[str]:
        """Those of the pools, each once; the first is the main pool's."""

    def certify(
        self, directory: Path, manifest: Manifest, digest: Digest, provider: str
    ) -> Certificate:
        """Open an untrusted bundle in a sandboxed child, in the environment of the pool that has
        `provider`. What the bundle does is never raised: the certificate says it.

        Raises InvalidInput, naming `provider`, when no pool has it.
        """


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate of one version, as it was written down."""

    version: int
    certificate: Certificate
    made_by: str
    """Who asked for it: a key, a member, or `node` for a replica of a pool."""


class CertificateRecords(Protocol):
    """Certificates as rows, kept by tenancy. Each write is one transaction with its audit row."""

    def add(self, scope: TenantScope, name: str, version: int, certificate: Certificate) -> None:
        """The newest of its key from now on; earlier ones are kept.

        Raises ModelNotFound unless the model is the scope's own, Conflict when the certificate is
        of another bundle.
        """

    def list(self, scope: TenantScope, name: str, version: int | None = None) -> list[Certified]:
        """The newest of each version and key, newest first; of one version or of all.

        Raises ModelNotFound.
        """
