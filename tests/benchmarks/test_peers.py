"""What others are measured with: every lock pins what its program names, every request is whole."""

import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.peers import asked, compare
from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.compare import DIALECTS
from benchmarks.peers.table import BARS, page, verdicts

LOCKED = [peer for peer in PEERS if peer.lock]


@pytest.mark.parametrize("peer", LOCKED, ids=lambda peer: peer.name)
def test_a_lock_pins_all_that_its_program_names_with_hashes(peer):
    entries = re.split(r"\n(?=\S)", peer.lock.read_text())
    pinned = {re.split(r"[ =;\[]", entry)[0].lower(): entry for entry in entries}
    for package in peer.packages():
        name = re.split(r"[=<>\[]", package)[0].lower()
        if "==" in package:
            assert f"{name}=={package.split('==')[1]}" in pinned[name].lower()
        assert name in pinned
    assert all("--hash=sha256:" in entry for entry in entries if entry.strip())


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_there_is_a_whole_request_for_all_that_a_server_takes(peer):
    for model in DIALECTS:
        for dialect in peer.dialects[asked.KINDS[model]]:
            if dialect != "grpc":
                for request in asked.to_peer(peer.program, model, dialect).requests():
                    head, _, body = request.partition(b"\r\n\r\n")
                    assert f"Content-Length: {len(body)}".encode() in head


def test_the_texts_are_of_mixed_lengths_and_the_same_each_time():
    lengths = sorted(len(text) for text in asked.texts())
    assert asked.texts() == asked.texts()
    assert lengths[len(lengths) // 10] * 5 < lengths[-1] < 2000


def runs(speed):
    fields = {"requests_per_second": speed, "p50_ms": [1.0] * 3, "p99_ms": [2.0] * 3}
    return {**fields, "cpu_us": [3.0] * 3, "errors": 0}


def breaks_off():
    raise subprocess.CalledProcessError(1, ["wrk"], stderr="unable to connect")


def refuses_all():
    return dict.fromkeys((*compare.FIELDS, "errors"), 0.0)


@pytest.mark.parametrize("stops", [breaks_off, refuses_all])
def test_a_server_that_stops_answering_is_left_out_and_the_others_are_measured_on(stops):
    answers = dict.fromkeys((*compare.FIELDS, "errors"), 1.0)
    calls = iter([answers])

    def breaks(_connections, _seconds):
        return next(calls, None) or stops()

    everybody = {"plaza": lambda *_: answers, "mosec": breaks}
    plan = compare.Plan((), (), (), (), alone=False, rounds=3, seconds=1, environments=Path())
    skipped = {}
    *_, rows = compare._rounds("tiny json 1", everybody, skipped, 1, plan)
    assert [len(rows[who]) for who in rows] == [3]
    assert list(everybody) == ["plaza"]
    assert "stopped answering" in skipped["mosec"]


def test_a_ratio_is_of_the_same_round_and_a_bar_is_told_as_it_is():
    rows = {"plaza": runs([90.0, 180.0, 90.0]), "alone": runs([100.0, 200.0, 90.0])}
    found = {
        "rounds": 3,
        "seconds": 1,
        "on": "2026-01-01",
        "others_percent": 60.0,
        "rows": rows,
        "skipped": {"mosec": "has no binary"},
    }
    machine = {
        "cpus": 2,
        "processor": "p",
        "python": "3",
        "generator": "wrk",
        "data_path": "compiled",
    }
    document = {"machine": machine, "comparisons": {"conv binary 8": found}}
    assert list(verdicts(document)) == [
        ("conv binary 8: ONNX Runtime in process", 0.9, BARS["conv binary 8"]["alone"], False)
    ]
    written = page(document)
    assert "0.90 (0.90 to 1.00); bar 0.95: **falls short**" in written
    assert "not alone" in written
    assert "Not measured: mosec 0.9.8: has no binary." in written
