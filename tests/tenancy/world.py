"""A hub's tenants to tell stories with."""

from __future__ import annotations

import atexit
import itertools
import random
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import make_url

from plaza_core.certificate import Certificate, CertificateKey
from plaza_core.ids import Digest, ModelId, RequestId
from plaza_core.inference import UsageRecord
from plaza_core.manifest import Manifest, manifest_from
from plaza_core.ports import NewVersion
from plaza_core.principal import Principal, Right, Role, TenantScope
from plaza_core.running import Examination
from plaza_core.table import FileEntry, RateLimit, Visibility
from plaza_core.testing import FakeClock
from plaza_core.testing_certificates import SOMEWHERE
from plaza_tenancy import Tenancy
from plaza_tenancy.migrate import migrate
from tests.postgres import Database

PEPPER = b"pepper of the tests"
VAULT = bytes(range(32))
RATE = RateLimit(per_second=100.0, burst=200)
_numbers = itertools.count()


@dataclass
class World:
    tenancy: Tenancy
    clock: FakeClock
    url: str
    operator: Principal
    operator_text: str

    def platform(self) -> TenantScope:
        return self.tenancy.platform(self.operator, Right.TENANTS_WRITE)

    def organisation(self, name: str) -> TenantScope:
        """A new organisation with the project `main`; an operator's scope on all of it."""
        self.tenancy.organisations.create(self.platform(), name)
        return self.tenancy.scope(self.operator, Right.TENANTS_WRITE, organisation=name)

    def key(self, organisation: str, role: Role, *, project: str | None = None) -> str:
        scope = self.tenancy.scope(
            self.operator, Right.KEYS_WRITE, organisation=organisation, project=project
        )
        return self.tenancy.keys.create(scope, role=role).text

    def member(self, organisation: str, role: Role, *, project: str | None = None) -> Principal:
        return self.tenancy.authenticate(self.key(organisation, role, project=project))

    def scope_of(
        self, organisation: str, role: Role, right: Right, *, project: str | None = None
    ) -> TenantScope:
        return self.tenancy.scope(self.member(organisation, role, project=project), right)

    def reopened(self) -> Tenancy:
        self.tenancy.close()
        self.tenancy = open_tenancy(self.url, self.clock)
        return self.tenancy


def open_tenancy(url: str, clock: FakeClock) -> Tenancy:
    # Each opening draws other bytes, as in life; which ones is repeatable.
    draw = random.Random(next(_numbers)).randbytes
    return Tenancy(url, pepper=PEPPER, clock=clock, random=draw, default_rate=RATE, vault=VAULT)


def new_world(url: str) -> World:
    clock = FakeClock()
    tenancy = open_tenancy(url, clock)
    first = tenancy.bootstrap()
    assert first is not None
    return World(tenancy, clock, url, tenancy.authenticate(first.text), first.text)


@cache
def migrated_file() -> Path:
    """A database file with today's schema and nothing in it, made once a process; to be copied."""
    directory = Path(tempfile.mkdtemp(prefix="plaza-template-"))
    atexit.register(shutil.rmtree, directory)
    migrate(f"sqlite+pysqlite:///{directory / 'template.db'}")
    return directory / "template.db"


class SqliteFiles:
    """SQLite's part of what `tests.postgres.Server` does: a new database is a copied file."""

    walled = False

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def empty(self) -> Database:
        url = f"sqlite+pysqlite:///{self._new()}"
        return Database(url, url)

    def migrated(self) -> Database:
        url = f"sqlite+pysqlite:///{shutil.copy(migrated_file(), self._new())}"
        return Database(url, url)

    def copy(self, database: Database) -> Database:
        """Another one that holds the same; nobody may be connected to it."""
        url = f"sqlite+pysqlite:///{shutil.copy(make_url(database.url).database, self._new())}"
        return Database(url, url)

    def drop(self, database: Database) -> None:
        """Its file goes with the directory."""

    def _new(self) -> Path:
        return self._directory / f"plaza-{next(_numbers)}.db"


def make_manifest(name: str = "detector", family: str = "tensor") -> Manifest:
    tensor = {"name": "x", "datatype": "FP32", "shape": ["batch", 4]}
    return manifest_from(
        {
            "schema": 1,
            "name": name,
            "family": family,
            "signature": {"inputs": [tensor], "outputs": [{**tensor, "name": "y"}]},
        }
    )


def make_version(
    digest: int = 1,
    *,
    name: str = "detector",
    project: str = "main",
    visibility: Visibility = Visibility.PROJECT,
    card: str = "# Card",
) -> NewVersion:
    sha256 = Digest(f"{digest:064x}")
    return NewVersion(
        name=name,
        project=project,
        visibility=visibility,
        digest=sha256,
        manifest=make_manifest(name),
        files=[FileEntry(path="model.onnx", size=10, sha256=sha256)],
        card=card,
        examination=Examination(
            passed=True,
            reason="fine",
            provider="cpu",
            runtime="1.31.1",
            nodes={"CPUExecutionProvider": 3},
            peak_bytes=1,
            run_us=2,
        ),
    )


def make_certificate(
    digest: int = 1, *, passed: bool = True, made: int = 1, **environment: str
) -> Certificate:
    """Of the bundle of `make_version(digest)`, in `SOMEWHERE` but for what is said."""
    place = SOMEWHERE.model_copy(update=environment)
    return Certificate(
        key=CertificateKey.of(Digest(f"{digest:064x}"), place),
        passed=passed,
        reason="passed" if passed else "it is slow",
        placement={"CPUExecutionProvider": 3},
        made_unix_us=made,
    )


def make_record(organisation: str, request: str, **other) -> UsageRecord:
    fields = {
        "project": None,
        "key": "k",
        "model": ModelId("mdl_1"),
        "version": 1,
        "digest": Digest("0" * 64),
        "provider": "cpu",
        "rows": 1,
        "compute_us": 10,
        "host_us": 1,
        "latency_us": 20,
        "outcome": "ok",
        "at_unix_us": 1_000,
        "replica": "r1",
    }
    return UsageRecord(
        organisation=organisation, request_id=RequestId(request), **{**fields, **other}
    )
