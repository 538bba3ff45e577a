"""Usage that was acknowledged reaches the ledger exactly once, whoever dies."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from plaza_core.errors import LedgerUnavailable, Unavailable
from plaza_core.ids import Digest, ModelId, RequestId
from plaza_core.inference import UsageRecord
from plaza_core.testing import MemoryUsage
from plaza_core.usage_wire import from_lines, to_lines
from plaza_serving.dataplane.spool import Spool, adopt


def record(number):
    return UsageRecord(
        organisation="org",
        project=None,
        key="key",
        request_id=RequestId(f"r{number}"),
        model=ModelId("mdl"),
        version=1,
        digest=Digest("0" * 64),
        provider="cpu",
        rows=1,
        compute_us=number,
        host_us=0,
        latency_us=1,
        outcome="ok",
        at_unix_us=1,
        replica="replica",
    )


def shipping_to(ledger):
    return lambda lines: ledger.ingest(from_lines(lines))


def test_records_are_shipped_and_the_file_goes_with_its_owner(tmp_path):
    ledger = MemoryUsage()
    spool = Spool(tmp_path, "replica", shipping_to(ledger))
    spool.append([record(n) for n in range(5)])
    assert len((tmp_path / "replica-0.log").read_bytes().splitlines()) == 5
    spool.close()
    assert len(ledger.records) == 5
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_shipped_is_adopted(tmp_path):
    def away(lines):
        raise Unavailable("control is away")

    spool = Spool(tmp_path, "replica", away)
    spool.append([record(1)])
    ledger = MemoryUsage()
    assert adopt(tmp_path, ledger.ingest) == 0, "its owner lives"
    spool.close()
    assert adopt(tmp_path, ledger.ingest) == 1
    assert len(ledger.records) == 1
    assert not list(tmp_path.iterdir())


def test_a_torn_line_was_never_acknowledged(tmp_path):
    (tmp_path / "replica-0.log").write_bytes(to_lines([record(1), record(2)])[:-9])
    ledger = MemoryUsage()
    assert adopt(tmp_path, ledger.ingest) == 1


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    ledger = MemoryUsage()
    spool = Spool(tmp_path, "replica", shipping_to(ledger))
    spool.append([record(1)])
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2]))
    with pytest.raises(LedgerUnavailable):
        spool.append([record(2)])
    monkeypatch.undo()
    spool.append([record(3)])
    spool.close()
    assert {r.compute_us for r in ledger.records.values()} == {1, 3}


def test_kill_9_loses_no_acknowledged_record(tmp_path):
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from tests.serving.dataplane.test_spool import Spool, record, Unavailable
        def away(lines):
            raise Unavailable("away")
        spool = Spool(Path(sys.argv[1]), "replica", away)
        number = 0
        while True:
            spool.append([record(number)])
            print(number, flush=True)
            number += 1
        """
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    acknowledged = []
    for line in writer.stdout:
        acknowledged.append(int(line))
        if len(acknowledged) == 500:
            writer.send_signal(signal.SIGKILL)
            break
    rest, _ = writer.communicate()
    acknowledged += [int(line) for line in rest.splitlines() if line]
    ledger = MemoryUsage()
    adopt(tmp_path, ledger.ingest)
    recorded = {r.compute_us for r in ledger.records.values()}
    assert set(acknowledged) <= recorded
    assert len(recorded) <= len(acknowledged) + 1


class Bank:
    """Remembers whose leases were closed, and how many records were there by then."""

    def __init__(self, ledger):
        self.ledger, self.closed = ledger, []

    def gone(self, replica):
        self.closed.append((replica, len(self.ledger.records)))


def test_a_dead_replica_is_gone_only_after_its_last_file(tmp_path):
    (tmp_path / "main-1-ab-0.log").write_bytes(to_lines([record(1)]))
    (tmp_path / "main-1-ab-1.log").write_bytes(to_lines([record(2)]))
    (tmp_path / "main-2-cd-0.log").write_bytes(b"")
    ledger = MemoryUsage()
    bank = Bank(ledger)
    assert adopt(tmp_path, ledger.ingest, bank.gone) == 2
    assert bank.closed == [("main-1-ab", 2), ("main-2-cd", 2)]
    assert not list(tmp_path.iterdir())


def test_a_replica_lives_while_one_of_its_files_is_locked(tmp_path):
    ledger = MemoryUsage()
    bank = Bank(ledger)
    spool = Spool(tmp_path, "main-1-ab", shipping_to(ledger))
    (tmp_path / "main-1-ab-7.log").write_bytes(to_lines([record(1)]))
    assert adopt(tmp_path, ledger.ingest, bank.gone) == 0
    assert not bank.closed
    spool.close(leases_returned=False)
    assert adopt(tmp_path, ledger.ingest, bank.gone) == 1
    assert bank.closed == [("main-1-ab", 1)]


def test_a_replica_that_returned_its_leases_leaves_nothing_to_adopt(tmp_path):
    spool = Spool(tmp_path, "main-1-ab", shipping_to(MemoryUsage()))
    spool.close()
    assert not list(tmp_path.iterdir())


def test_leases_that_could_not_be_closed_are_tried_again(tmp_path):
    (tmp_path / "main-1-ab-0.log").write_bytes(to_lines([record(1)]))
    ledger = MemoryUsage()

    def away(replica):
        raise Unavailable("the database is away")

    with pytest.raises(Unavailable):
        adopt(tmp_path, ledger.ingest, away)
    bank = Bank(ledger)
    adopt(tmp_path, ledger.ingest, bank.gone)
    assert bank.closed == [("main-1-ab", 1)]


def test_an_adopter_that_was_too_early_does_not_take_a_live_replica_for_dead(tmp_path, monkeypatch):
    """It opens the old file just before the owner, turning to a new one, removes and unlocks it."""
    ledger = MemoryUsage()
    bank = Bank(ledger)
    spool = Spool(tmp_path, "main-1-ab", shipping_to(ledger))
    monkeypatch.setattr("plaza_serving.dataplane.spool._ROTATE_BYTES", 1)
    spool.append([record(1)])
    spool.ship()
    opened = os.open

    def then_rotate(path, *options):
        file = opened(path, *options)
        if str(path).endswith("-0.log"):
            spool.ship()
        return file

    monkeypatch.setattr(os, "open", then_rotate)
    adopt(tmp_path, ledger.ingest, bank.gone)
    monkeypatch.undo()
    assert not bank.closed
    assert [p.name for p in tmp_path.iterdir()] == ["main-1-ab-1.log"]
    spool.close()
