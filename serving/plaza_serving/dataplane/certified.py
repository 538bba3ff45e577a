"""May this pool open a version? Only with a passed certificate for where its replicas run.

    a passed one for this environment ──▶ open        a failed one ──▶ refuse
    one of another runtime or device, or the main pool ──▶ certify here, tell control, then decide
    none ──▶ refuse: somebody must ask for it

A replica in an upgraded environment so certifies what its pool had, before it opens anything and
while the replicas that it takes over from still answer. It certifies one version at a time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from plaza_core.certificate import Certificate, Environment, NodeCertificate, Standing, standing_in
from plaza_core.errors import NotCertified, Unavailable
from plaza_core.ids import Digest, ModelId
from plaza_core.manifest import Manifest
from plaza_core.pools import MAIN_POOL, Pool
from plaza_core.table import VersionEntry
from plaza_serving.pools import Elsewhere, LivesElsewhere

log = logging.getLogger(__name__)

Certify = Callable[[Path, Manifest, Digest], Certificate]
Tell = Callable[[NodeCertificate], None]


class Gate(Protocol):
    """What decides whether a version may be opened here."""

    def refusal(self, entry: VersionEntry) -> NotCertified | None:
        """Why it may not, as far as the table tells; costs nothing. None: `admit` decides."""

    def elsewhere(self, entry: VersionEntry) -> Elsewhere | None:
        """The other pools that serve a version which this one refuses."""

    def admit(self, model: ModelId, entry: VersionEntry, directory: Path) -> None:
        """Before it is opened, on a loader thread. Raises NotCertified."""


class _Open:
    """For what is not a pool of a hub: everything may be opened."""

    def refusal(self, entry: VersionEntry) -> None:
        return None

    def elsewhere(self, entry: VersionEntry) -> None:
        return None

    def admit(self, model: ModelId, entry: VersionEntry, directory: Path) -> None:
        return None


OPEN: Gate = _Open()


class CertificateGate:
    """The gate of one replica of `pool`, which runs in `environment`. `others`: the pools that a
    refusal may send callers to.

    `certify` makes a certificate in a sandboxed child here, `tell` hands it to control; both block.
    """

    def __init__(
        self,
        pool: str,
        environment: Environment,
        certify: Certify,
        tell: Tell,
        *,
        others: Sequence[Pool] = (),
    ) -> None:
        self.environment = environment
        self._others = others
        self._pool = pool
        self._certify = certify
        self._tell = tell
        self._one_at_a_time = threading.Lock()
        self._made: dict[Digest, Standing] = {}

    def refusal(self, entry: VersionEntry) -> NotCertified | None:
        refused = self._refusal(entry)
        pools = () if refused is None else self._others_with(entry)
        if refused is None or not pools:
            return refused
        places = " or ".join(map(_address, pools))
        return LivesElsewhere(f"{refused.message}; call it at {places}", _where(entry, pools))

    def elsewhere(self, entry: VersionEntry) -> Elsewhere | None:
        if self._refusal(entry) is None:
            return None
        pools = self._others_with(entry)
        return _where(entry, pools) if pools else None

    def _others_with(self, entry: VersionEntry) -> tuple[Pool, ...]:
        return tuple(
            pool
            for pool in self._others
            if entry.manifest.meant_for(pool.provider) and _passed_elsewhere(entry, pool.provider)
        )

    def _refusal(self, entry: VersionEntry) -> NotCertified | None:
        provider = self.environment.provider
        if not entry.manifest.meant_for(provider):
            return NotCertified(f"its manifest does not name the provider '{provider}'")
        standing = self._standing(entry)
        if standing is not None:
            return None if standing.passed else _failed(standing)
        if self._pool == MAIN_POOL or _passed_elsewhere(entry, provider):
            return None
        return NotCertified(
            f"it has no certificate for '{provider}', which this pool runs;"
            f" plaza models certify NAME@{entry.version} --provider {provider}"
        )

    def admit(self, model: ModelId, entry: VersionEntry, directory: Path) -> None:
        refusal = self.refusal(entry)
        if refusal is not None:
            raise refusal
        if self._standing(entry) is not None:
            return
        with self._one_at_a_time:
            standing = self._standing(entry) or self._make(model, entry, directory)
        if not standing.passed:
            raise _failed(standing)

    def _standing(self, entry: VersionEntry) -> Standing | None:
        known = standing_in(entry.certificates, self.environment)
        return known or self._made.get(entry.digest)

    def _make(self, model: ModelId, entry: VersionEntry, directory: Path) -> Standing:
        log.info("certifying %s/%s for %s", model, entry.version, self.environment.runtime)
        made = self._certify(directory, entry.manifest, entry.digest)
        if made.key.environment != self.environment:
            if made.passed:
                raise NotCertified("it was certified in another environment than this replica's")
            # The job did not get far enough to say where it ran; it says why.
            made = made.model_copy(
                update={"key": made.key.model_copy(update=self.environment.model_dump())}
            )
        standing = self._made[entry.digest] = made.standing()
        try:
            self._tell(NodeCertificate(model=model, version=entry.version, certificate=made))
        except Unavailable as error:  # another replica makes it again
            log.warning("control does not know of a certificate: %s", error.message)
        return standing


def _address(pool: Pool) -> str:
    return pool.route_prefix + (f" (gRPC port {pool.grpc_port})" if pool.grpc_port else "")


def _where(entry: VersionEntry, pools: Sequence[Pool]) -> Elsewhere:
    limit_s = entry.manifest.limits.deadline_ms / 1000
    return Elsewhere(tuple(pool.name for pool in pools), limit_s)


def _passed_elsewhere(entry: VersionEntry, provider: str) -> bool:
    return any(one.passed and one.provider == provider for one in entry.certificates)


def _failed(standing: Standing) -> NotCertified:
    return NotCertified(f"its certificate for '{standing.provider}' failed: {standing.reason}")
