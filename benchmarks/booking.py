"""How fast control's ledger takes usage: lines a second, into rows, chain, sums and key's last use.

One writer and transactions as large as replicas ship them: what a hub answers in a second. On
SQLite in a file, as an embedded hub has it; on PostgreSQL where `--url` names a database that may
be written to.

    python -m benchmarks.booking [--url postgresql+psycopg://…]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from plaza_core.ids import Digest, ModelId, RequestId
from plaza_core.inference import UsageRecord
from plaza_core.principal import Role
from tests.tenancy.world import new_world

BATCHES = (100, 1000, 5000)
_LINES = 10_000
_DIGEST = Digest("sha256:" + "0" * 64)


def lines(organisation: str, key: str, first: int, count: int, at_us: int) -> list[UsageRecord]:
    return [
        UsageRecord(
            organisation=organisation,
            project=None,
            key=key,
            request_id=RequestId(f"{number:032x}"),
            model=ModelId("m"),
            version=1,
            digest=_DIGEST,
            provider="cpu",
            rows=1,
            compute_us=5,
            host_us=10,
            latency_us=900,
            outcome="ok",
            at_unix_us=at_us,
            replica="r",
            charge=5,
        )
        for number in range(first, first + count)
    ]


def measure(url: str) -> dict[str, Any]:
    """Lines per second by the size of a transaction."""
    world = new_world(url)
    found: dict[str, Any] = {}
    with closing(world.tenancy) as tenancy:
        scope = world.organisation("bench")
        key = tenancy.keys.create(scope, role=Role.CONSUMER).id
        first = 0
        for size in BATCHES:
            many = _LINES // size * size
            made = [
                lines(scope.organisation, key, first + at, size, world.clock.unix_us())
                for at in range(0, many, size)
            ]
            first += many
            begun, cpu = time.perf_counter(), time.process_time()
            new = sum(tenancy.ledger.ingest(batch) for batch in made)
            took, spent = time.perf_counter() - begun, time.process_time() - cpu
            assert new == many
            found[str(size)] = {
                "lines_per_second": round(many / took),
                "cpu_us_per_line": round(spent / many * 1e6, 1),
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.booking")
    parser.add_argument("--url")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="plaza-booking-") as scratch:
        url = given.url or f"sqlite+pysqlite:///{Path(scratch) / 'plaza.db'}"
        sys.stdout.write(json.dumps(measure(url), indent=1) + "\n")


if __name__ == "__main__":
    main()
