"""CertificateRecords and Certifier in memory: for tests without a database or a sandbox."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from pathlib import Path

from plaza_core.certificate import Certificate, CertificateKey, Environment
from plaza_core.certificate_ports import Certified
from plaza_core.clock import Clock
from plaza_core.errors import Conflict, InvalidInput, ModelNotFound
from plaza_core.ids import Digest
from plaza_core.manifest import Manifest
from plaza_core.principal import TenantScope

SOMEWHERE = Environment(
    provider="cpu",
    provider_version="onnxruntime 1",
    runtime="onnxruntime 1",
    device="a processor",
    cpu_features="avx2",
)
"""An environment for tests."""


class MemoryCertificates:
    """CertificateRecords in a list. `digests`: (name, version) -> its digest."""

    def __init__(self, digests: Mapping[tuple[str, int], Digest]) -> None:
        self._digests = dict(digests)
        self._kept: list[tuple[str, Certified]] = []

    def add(self, scope: TenantScope, name: str, version: int, certificate: Certificate) -> None:
        if self._digest(name, version) != certificate.key.digest:
            raise Conflict("this certificate is of another bundle", input="digest")
        self._kept.insert(0, (name, Certified(version, certificate, str(scope.actor))))

    def list(
        self,
        scope: TenantScope,
        name: str,
        version: int | None = None,
    ) -> builtins.list[Certified]:
        self._digest(name, version)
        found: dict[tuple[int, CertificateKey], Certified] = {}
        for model, one in self._kept:
            if model == name and version in {None, one.version}:
                found.setdefault((one.version, one.certificate.key), one)
        return sorted(found.values(), key=lambda one: -one.certificate.made_unix_us)

    def _digest(self, name: str, version: int | None) -> Digest | None:
        known = {
            number: digest for (model, number), digest in self._digests.items() if model == name
        }
        if not known or (version is not None and version not in known):
            raise ModelNotFound("the model has no such version", input="version")
        return None if version is None else known[version]


class TrustingCertifier:
    """Certifier that passes everything on the environments it is given, first the main pool's.

    `refuses`: provider -> why it passes nothing there.
    """

    def __init__(
        self,
        clock: Clock,
        environments: Sequence[Environment] = (SOMEWHERE,),
        refuses: Mapping[str, str] | None = None,
    ) -> None:
        self._clock = clock
        self.environments = {one.provider: one for one in environments}
        self.refuses = dict(refuses or {})
        self.asked: list[tuple[Digest, str]] = []

    @property
    def providers(self) -> Sequence[str]:
        return tuple(self.environments)

    def certify(
        self,
        directory: Path,
        manifest: Manifest,
        digest: Digest,
        provider: str,
    ) -> Certificate:
        if provider not in self.environments:
            raise InvalidInput(f"no pool of this hub has '{provider}'", input="provider")
        self.asked.append((digest, provider))
        why = self.refuses.get(provider)
        return Certificate(
            key=CertificateKey.of(digest, self.environments[provider]),
            passed=why is None,
            reason=why or "not examined",
            made_unix_us=self._clock.unix_us(),
        )
