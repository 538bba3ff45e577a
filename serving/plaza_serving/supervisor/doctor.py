"""What `plaza doctor` looks at: versions, places, resources, and what the network can reach.

A finding is `bad` when the hub cannot run or is open to strangers, `note` when an operator should
know. Nothing here changes anything.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from plaza_core.errors import PlazaError
from plaza_core.settings import Settings
from plaza_serving.native import loading
from plaza_serving.supervisor.mirroring import lag
from plaza_serving.supervisor.places import Places
from plaza_serving.supervisor.ports import fixed_ports, grpc_ports
from plaza_serving.supervisor.process import Identity, boot_id, command_line, table
from plaza_serving.supervisor.single import holder
from plaza_serving.supervisor.sockets import Listener, held, listeners, owners

_SAFE_WAL = (3, 51, 3)
"""Before, SQLite may corrupt a WAL database that several connections use at once."""
_FLAVOURS = ("onnxruntime", "onnxruntime-openvino", "onnxruntime-gpu", "onnxruntime-cann")
_MEMORY_BYTES = 2 * 1024**3
_DISK_BYTES = 5 * 1024**3
_OLDEST_SENSIBLE = 1_790_000_000
"""Unix seconds of autumn 2026: a clock before that is wrong."""


class Verdict(Enum):
    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    verdict: Verdict
    detail: str


def examine(settings: Settings) -> list[Finding]:
    """All findings, in the order an operator reads them."""
    places = Places.of(settings)
    mine = _recorded(places)
    return [
        *_versions(),
        _sandbox(),
        *_places(places),
        *_blobs(settings),
        *_pools(settings),
        *_resources(places),
        *_ports(settings, mine, running=holder(places.run) is not None),
        *_network(settings, mine),
        *_mirror(settings, running=bool(mine)),
    ]


def _recorded(places: Places) -> set[int]:
    """Pids of this installation's processes that run now, from the supervisor's record."""
    path = places.run / "processes.json"
    if not path.exists():
        return set()
    record = json.loads(path.read_text())
    if record["boot"] != boot_id():
        return set()
    members = (Identity(*one) for family in record["families"] for one in family["members"])
    found = {one.pid for one in members if one.alive()}
    supervisor = holder(places.run)
    return found | ({supervisor.pid} if supervisor else set())


def _versions() -> Iterator[Finding]:
    good = (3, 11) <= sys.version_info[:2] < (3, 15)
    yield Finding("python", Verdict.OK if good else Verdict.BAD, platform.python_version())
    for name in ("ray", "mlflow"):
        version = _version(name)
        yield Finding(name, Verdict.OK if version else Verdict.BAD, version or "not installed")
    flavours = [f"{name} {version}" for name in _FLAVOURS if (version := _version(name))]
    # The wheels share one package directory: of two, the one installed last overwrote the other.
    verdict = Verdict.OK if len(flavours) == 1 else Verdict.BAD
    yield Finding("onnxruntime", verdict, ", ".join(flavours) or "no flavour is installed")
    path = loading.state()
    compiled = path is loading.State.COMPILED
    yield Finding("data path", Verdict.OK if compiled else Verdict.NOTE, path.value)
    safe = sqlite3.sqlite_version_info >= _SAFE_WAL
    yield Finding(
        "sqlite",
        Verdict.OK if safe else Verdict.NOTE,
        sqlite3.sqlite_version
        + ("" if safe else ": has the WAL-reset bug, so the hub uses a rollback journal"),
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _sandbox() -> Finding:
    from plaza_accel.sandbox.confinement import sandbox_support

    support = sandbox_support()  # a child gives itself up and tries what must fail
    detail = ", ".join(f"{name}: {value}" for name, value in support.items())
    return Finding("sandbox", Verdict.OK if support["usable"] else Verdict.BAD, detail)


def _places(places: Places) -> Iterator[Finding]:
    for name, path in (("state directory", places.state), ("secrets", places.secrets)):
        if not path.exists():
            yield Finding(name, Verdict.NOTE, "not made yet")
            continue
        found = path.stat()
        private = found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077
        detail = f"{path}, mode {stat.S_IMODE(found.st_mode):o}"
        yield Finding(name, Verdict.OK if private else Verdict.BAD, detail)
    loose = [
        path.name
        for path in (places.secrets.iterdir() if places.secrets.exists() else ())
        if path.stat().st_mode & 0o077
    ]
    if loose:
        yield Finding("secrets", Verdict.BAD, f"readable by others: {', '.join(sorted(loose))}")
    token = places.ray_token.exists()
    yield Finding(
        "ray token",
        Verdict.OK if token else Verdict.NOTE,
        "present; Ray runs in token mode" if token else "made at the first start",
    )


def _blobs(settings: Settings) -> Iterator[Finding]:
    """A bucket is written to, read and cleaned; a directory is looked at by `_places`."""
    if settings.blobs is None:
        return
    from plaza_registry.blobs_s3 import S3Blobs
    from plaza_registry.s3 import place_of

    try:
        place = place_of(settings)
        S3Blobs(place).probe()
    except PlazaError as error:
        where = f"setting '{error.input}': " if error.input else ""
        yield Finding("blobs", Verdict.BAD, where + error.message)
        return
    where = f"s3://{place.bucket}/{place.prefix} at {place.endpoint}"
    yield Finding("blobs", Verdict.OK, f"{where}: written, read and deleted")
    host = urlsplit(place.endpoint).hostname or ""
    if place.endpoint.startswith("http://") and host not in {"127.0.0.1", "::1", "localhost"}:
        yield Finding("blobs", Verdict.NOTE, f"{place.endpoint} is not encrypted")


def _pools(settings: Settings) -> Iterator[Finding]:
    """Whether each further pool could run on this node; in a cluster another may be meant."""
    from plaza_accel.examination.interpreter import refusal_of
    from plaza_serving.control.pool_reasons import place_of

    wrong = Verdict.BAD if settings.node_ip == "127.0.0.1" else Verdict.NOTE
    for pool in settings.pools:
        refusal = refusal_of(place_of(pool))
        detail = f"{pool.provider} can run here" if refusal is None else refusal
        yield Finding(f"pool {pool.name}", Verdict.OK if refusal is None else wrong, detail)


def _resources(places: Places) -> Iterator[Finding]:
    memory = psutil.virtual_memory().available
    yield _enough("memory", memory, _MEMORY_BYTES)
    where = next(p for p in (places.state, *places.state.parents) if p.exists())
    yield _enough("disk", shutil.disk_usage(where).free, _DISK_BYTES)
    shared = Path("/dev/shm")  # noqa: S108 only measured: Ray's object store lives there
    if shared.exists():
        yield _enough("shared memory", shutil.disk_usage(shared).free, 200_000_000)
    sane = time.time() > _OLDEST_SENSIBLE
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    yield Finding("clock", Verdict.OK if sane else Verdict.BAD, now)


def _enough(check: str, free: int, wanted: int) -> Finding:
    detail = f"{free / 1e9:.1f} GB free"
    return Finding(check, Verdict.OK if free >= wanted else Verdict.NOTE, detail)


def _ports(settings: Settings, mine: set[int], *, running: bool) -> Iterator[Finding]:
    names = fixed_ports(settings)
    taken = held(names)
    by = owners(table())
    strangers = 0
    for port, found in sorted(taken.items()):
        pids = {by.get(one.inode) for one in found}
        if foreign := pids - mine:
            strangers += 1
            who = ", ".join(_call(pid) for pid in foreign)
            yield Finding(f"port {port}", Verdict.BAD, f"{names[port]}: taken by {who}")
    if not strangers:
        detail = "the hub runs on its ports" if running else f"all {len(names)} are free"
        yield Finding("ports", Verdict.OK, detail)
    low, high = _ephemeral()
    block = range(settings.internal_ports, settings.internal_ports + 1000)
    if block.start <= high and block.stop > low:
        detail = f"{block.start}-{block.stop - 1} overlaps the kernel's {low}-{high}"
        yield Finding("internal ports", Verdict.NOTE, detail)


def _ephemeral() -> tuple[int, int]:
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return int(low), int(high)


def _call(pid: int | None) -> str:
    if pid is None:
        return "another user's process"
    return f"pid {pid} ({' '.join(command_line(pid)[:2])[:60]})"


def _network(settings: Settings, mine: set[int]) -> Iterator[Finding]:
    """Every socket of ours that other machines can reach, and whether it is meant to be."""
    if not mine:
        yield Finding("network", Verdict.NOTE, "the hub does not run; start it, then ask again")
        return
    by = owners(mine)
    open_sockets = [one for one in listeners() if one.inode in by and not one.local]
    grpc = {port for _, port in grpc_ports(settings)}
    meant = {settings.http_port, settings.control_port} | grpc
    for one in sorted(open_sockets, key=lambda s: s.port):
        who = _call(by[one.inode])
        if one.port in meant:
            yield Finding(f"open {one.port}", Verdict.NOTE, f"{one.address}, as set; {who}")
        elif settings.node_ip == "127.0.0.1":
            yield Finding(f"open {one.port}", Verdict.BAD, f"{one.address}, not meant to be; {who}")
        else:
            detail = f"{one.address}, for the other nodes only; {who}; {_rule(one)}"
            yield Finding(f"open {one.port}", Verdict.NOTE, detail)
    if not open_sockets:
        yield Finding("network", Verdict.OK, "everything listens on loopback")


def _mirror(settings: Settings, *, running: bool) -> Iterator[Finding]:
    if running:
        well, detail = lag(settings)
        yield Finding("mirror", Verdict.OK if well else Verdict.NOTE, detail)


def _rule(one: Listener) -> str:
    """A firewall rule to adapt; deploy/two-nodes.md has the whole table."""
    return f"nft add rule inet filter input tcp dport {one.port} ip saddr != @plaza_nodes drop"
