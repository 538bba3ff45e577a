"""Backup and restore with real files: a restored hub has the same keys, models, books and trail."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import stat
import tarfile
import threading

import pytest

from plaza_core.errors import Conflict, InvalidInput, Unavailable
from plaza_core.inference import UsageRecord
from plaza_core.keys import node_secret
from plaza_core.principal import Right
from plaza_core.settings import Settings
from plaza_core.table import RateLimit
from plaza_core.testing import FakeClock
from plaza_core.usage_wire import to_lines
from plaza_registry.blobs import LocalBlobs
from plaza_serving.backup import backup, restore
from plaza_serving.dataplane.spool import adopt
from plaza_tenancy import Tenancy
from tests.tenancy.world import make_version

RATE = RateLimit(per_second=1, burst=1)
NOW = 1_700_000_000_000_000


def settings_of(directory) -> Settings:
    return Settings(state_dir=directory)


def open_hub(directory) -> Tenancy:
    pepper = node_secret(directory / "secrets", "pepper", os.urandom).encode()
    url = settings_of(directory).database
    clock = FakeClock()
    return Tenancy(url, pepper=pepper, clock=clock, random=os.urandom, default_rate=RATE)


def used(organisation, request) -> UsageRecord:
    return UsageRecord(
        organisation, None, "k", request, "m", 1, "0" * 64, "cpu", 1, 10, 1, 9, "ok", NOW, "r", 7
    )


@pytest.fixture
def hub(tmp_path):
    """A state directory with a bit of everything; returns (directory, admin key, organisation)."""
    directory = tmp_path / "hub"
    directory.mkdir()
    tenancy = open_hub(directory)
    key = tenancy.bootstrap().text
    (directory / "admin.key").write_text(key)
    who = tenancy.authenticate(key)
    digest, _ = LocalBlobs(directory / "blobs").put([b"a model"], limit=100)
    scope = tenancy.scope(who, Right.MODELS_WRITE)
    version = make_version(int(digest, 16), project="shared")
    tenancy.records.add_version(scope, version)
    tenancy.ledger.ingest([used(who.organisation, str(n)) for n in range(10)])
    tenancy.close()
    spool = directory / "spool"
    spool.mkdir()
    lines = to_lines([used(who.organisation, str(n)) for n in (9, 10)])
    (spool / "r-1-0.log").write_bytes(lines + b'{"torn')
    return directory, key, who.organisation


@pytest.fixture
def packed(hub, tmp_path):
    file = tmp_path / "hub.backup"
    backup(settings_of(hub[0]), file, FakeClock())
    return file


def test_a_restored_hub_answers_as_the_one_that_was_copied(hub, packed, tmp_path):
    directory, key, _ = hub
    there = tmp_path / "elsewhere"
    restore(settings_of(there), packed, os.urandom)
    old, new = open_hub(directory), open_hub(there)
    for tenancy in (old, new):
        who = tenancy.authenticate(key)
        platform = tenancy.platform(who, Right.AUDIT_READ)
        assert all(chain.intact for chain in tenancy.ledger.verify(platform))
        assert all(chain.intact for chain in tenancy.audit.verify(platform))
        assert tenancy.ledger.drift(platform) == []
        (part,) = tenancy.ledger.report(platform, since_us=0, until_us=2**62)
        assert (part.requests, part.charge) == (10, 70)
    assert old.table().models == new.table().models
    (model,) = new.table().models
    blobs = LocalBlobs(there / "blobs")
    with blobs.open(model.versions[0].files[0].sha256) as file:
        assert file.read() == b"a model"
    assert (there / "secrets/pepper").read_text() == (directory / "secrets/pepper").read_text()
    assert adopt(there / "spool", new.ledger.ingest) == 2
    whole = new.platform(new.authenticate(key), Right.USAGE_READ)
    (part,) = new.ledger.report(whole, since_us=0, until_us=2**62)
    assert part.requests == 11, "what was acknowledged and not shipped is not lost"
    old.close()
    new.close()


def test_replicas_never_take_a_restored_table_for_one_they_know(hub, packed, tmp_path):
    there = tmp_path / "elsewhere"
    restore(settings_of(there), packed, os.urandom)
    old, new = open_hub(hub[0]), open_hub(there)
    assert old.table_version() != new.table_version()
    old.close()
    new.close()


def test_nobody_else_reads_a_backup_or_a_restored_secret(packed, hub, tmp_path):
    assert stat.S_IMODE(packed.stat().st_mode) == 0o600
    there = tmp_path / "elsewhere"
    restore(settings_of(there), packed, os.urandom)
    for name in ("plaza.db", "secrets/pepper", "admin.key"):
        assert stat.S_IMODE((there / name).stat().st_mode) == 0o600
    assert sorted(p.name for p in there.iterdir()) == [
        "admin.key", "blobs", "plaza.db", "secrets", "spool",
    ]  # fmt: skip


def test_a_hub_that_is_there_is_not_touched_without_force(packed, hub, tmp_path):
    directory, key, _ = hub
    before = {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()}
    with pytest.raises(Conflict, match="force"):
        restore(settings_of(directory), packed, os.urandom)
    assert {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()} == before
    restore(settings_of(directory), packed, os.urandom, force=True)
    aside = directory / "replaced-1"
    assert (aside / "plaza.db").read_bytes() == before[directory / "plaza.db"]
    assert (aside / "secrets/pepper").exists()
    tenancy = open_hub(directory)
    assert tenancy.authenticate(key).operator
    tenancy.close()
    restore(settings_of(directory), packed, os.urandom, force=True)
    assert (directory / "replaced-2/plaza.db").exists()


def test_an_empty_skeleton_of_a_hub_is_no_hub(packed, tmp_path):
    there = tmp_path / "elsewhere"
    for name in ("secrets", "blobs/incoming", "run"):
        (there / name).mkdir(parents=True)
    restore(settings_of(there), packed, os.urandom)
    assert (there / "secrets/pepper").exists()


def rewritten(source, target, change):
    """The backup with its members changed: `change(name, content)` gives both anew, or None."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            changed = change(member.name, old.extractfile(member).read())
            if changed is not None:
                info = tarfile.TarInfo(changed[0])
                info.size = len(changed[1])
                new.addfile(info, io.BytesIO(changed[1]))
    return target


def flip(part):
    def change(name, content):
        if name.startswith(part):
            content = content[:-1] + bytes([content[-1] ^ 1])
        return name, content

    return change


def unlisted(name, content):
    if name != "manifest.json":
        return name, content
    told = json.loads(content)
    told["files"].pop("secrets/pepper")
    return name, json.dumps(told).encode()


def escaping(name, content):
    if name == "manifest.json":
        told = json.loads(content)
        told["files"]["../evil"] = told["files"].pop("secrets/pepper")
        return name, json.dumps(told).encode()
    return ("../evil" if name == "secrets/pepper" else name), content


@pytest.mark.parametrize(
    "change",
    [
        flip("plaza.db"),
        flip("blobs/"),
        flip("secrets/"),
        flip("spool/"),
        unlisted,
        escaping,
        lambda name, content: None if name.startswith("blobs/") else (name, content),
        lambda name, content: None if name == "plaza.db" else (name, content),
        lambda name, content: None if name == "manifest.json" else (name, content),
        lambda name, content: (name, content[:-1] if name == "plaza.db" else content),
        lambda name, content: (name, b"[]" if name == "manifest.json" else content),
        lambda name, content: (name, b'{"format":2}' if name == "manifest.json" else content),
    ],
)
def test_a_damaged_or_forged_backup_changes_nothing(packed, tmp_path, change):
    bad, there = rewritten(packed, tmp_path / "bad.backup", change), tmp_path / "elsewhere"
    with pytest.raises(InvalidInput):
        restore(settings_of(there), bad, os.urandom)
    assert list(there.iterdir()) == []
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("size", [0, 100, 600, 5_000])
def test_half_a_file_or_none_is_no_backup(packed, tmp_path, size):
    (tmp_path / "half").write_bytes(packed.read_bytes()[:size])
    with pytest.raises(InvalidInput):
        restore(settings_of(tmp_path / "elsewhere"), tmp_path / "half", os.urandom)
    with pytest.raises(FileNotFoundError):
        restore(settings_of(tmp_path / "elsewhere"), tmp_path / "absent", os.urandom)


def test_a_link_in_a_backup_is_refused(packed, tmp_path):
    bad = tmp_path / "bad.backup"
    with tarfile.open(packed) as old, tarfile.open(bad, "w") as new:
        for member in old:
            if member.name == "secrets/pepper":
                link = tarfile.TarInfo(member.name)
                link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
                new.addfile(link)
            else:
                new.addfile(member, old.extractfile(member))
    with pytest.raises(InvalidInput):
        restore(settings_of(tmp_path / "elsewhere"), bad, os.urandom)


def test_a_copy_of_a_hub_at_work_is_one_state(hub, tmp_path):
    directory, key, organisation = hub
    tenancy = open_hub(directory)
    stop = threading.Event()
    shipped = []

    def work():
        while not stop.is_set():
            n = len(shipped)
            tenancy.ledger.ingest([used(organisation, f"w{n}-{i}") for i in range(20)])
            shipped.append(n)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for n in range(3):
            while len(shipped) < (n + 1) * 3:
                stop.wait(0.01)
            backup(settings_of(directory), tmp_path / f"{n}.backup", FakeClock())
    finally:
        stop.set()
        thread.join()
    tenancy.close()
    counts = []
    for n in range(3):
        restore(settings_of(tmp_path / f"r{n}"), tmp_path / f"{n}.backup", os.urandom)
        copy = open_hub(tmp_path / f"r{n}")
        platform = copy.platform(copy.authenticate(key), Right.AUDIT_READ)
        assert all(chain.intact for chain in copy.ledger.verify(platform))
        assert copy.ledger.drift(platform) == []
        (part,) = copy.ledger.report(platform, since_us=0, until_us=2**62)
        counts.append(part.requests)
        copy.close()
    assert counts == sorted(counts)
    assert counts[-1] > 10


def test_a_bundle_file_that_is_not_whole_is_named_and_the_rest_is_kept(hub, tmp_path):
    directory, _, _ = hub
    blobs = LocalBlobs(directory / "blobs")
    (digest,) = blobs.digests()
    path = directory / "blobs" / digest[:2] / digest[2:4] / digest
    path.chmod(0o600)
    path.write_bytes(b"b model")
    made = backup(settings_of(directory), tmp_path / "one", FakeClock())
    assert made.damaged == [digest]
    shutil.rmtree(directory / "blobs")
    assert backup(settings_of(directory), tmp_path / "two", FakeClock()).damaged == [digest]
    assert restore(settings_of(tmp_path / "e"), tmp_path / "two", os.urandom).damaged == [digest]
    assert open_hub(tmp_path / "e").close() is None


def test_a_damaged_database_is_not_passed_on_as_a_backup(hub, tmp_path):
    path = hub[0] / "plaza.db"
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 4] = bytes(4096)
    path.write_bytes(content)
    with pytest.raises(Unavailable, match=r"damaged|cannot be copied"):
        backup(settings_of(hub[0]), tmp_path / "file", FakeClock())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hub"]


def test_what_cannot_be_backed_up_says_why(hub, tmp_path):
    (tmp_path / "there").touch()
    with pytest.raises(Conflict, match="exists"):
        backup(settings_of(hub[0]), tmp_path / "there", FakeClock())
    with pytest.raises(Conflict, match="no hub"):
        backup(settings_of(tmp_path / "nothing"), tmp_path / "new", FakeClock())
    server = Settings(state_dir=hub[0], database_url="postgresql+psycopg://u@host/db")
    for verb in (
        lambda: backup(server, tmp_path / "new", FakeClock()),
        lambda: restore(server, tmp_path / "there", os.urandom),
    ):
        with pytest.raises(InvalidInput, match="pg_dump"):
            verb()


def test_mlflows_embedded_store_comes_along(hub, tmp_path):
    with sqlite3.connect(hub[0] / "mlflow.db") as mlflow:
        mlflow.execute("CREATE TABLE runs (id)")
        mlflow.execute("INSERT INTO runs VALUES (5)")
    mlflow.close()
    backup(settings_of(hub[0]), tmp_path / "file", FakeClock())
    restore(settings_of(tmp_path / "e"), tmp_path / "file", os.urandom)
    copy = sqlite3.connect(tmp_path / "e/mlflow.db")
    assert copy.execute("SELECT id FROM runs").fetchall() == [(5,)]
    copy.close()


def test_bundles_in_a_bucket_stay_there(hub, tmp_path):
    """Nothing of them is in the file, and none counts as damaged."""
    directory = hub[0]
    shutil.rmtree(directory / "blobs")
    settings = Settings(state_dir=directory, blobs="s3://models/hub", s3_keys_file=tmp_path / "no")
    assert backup(settings, tmp_path / "one", FakeClock()).damaged == []
    with tarfile.open(tmp_path / "one") as tar:
        assert not [name for name in tar.getnames() if name.startswith("blobs/")]
    assert backup(settings_of(directory), tmp_path / "two", FakeClock()).damaged
