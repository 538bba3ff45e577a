"""A data set is either the published one or an error that says which file and what to do."""

import csv
import hashlib
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from plaza_core.errors import InvalidInput, Unavailable
from plaza_training.data import DataSet, SourceFile, locate
from plaza_training.data.commands import app
from plaza_training.data.errors import DataChanged, DataMissing, DataUnreachable, UnknownData
from plaza_training.data.forecasting import ETT, ISO_NE, WEATHER
from plaza_training.data.locating import verify
from plaza_training.data.registry import SETS, find

CONTENT = b"a,b\n1,2\n"
SET = DataSet(
    name="toy",
    title="Toy",
    licence="CC0-1.0",
    source="https://example.org/toy",
    attribution="nobody",
    files=(
        SourceFile("deep/a.csv", hashlib.sha256(CONTENT).hexdigest(), "https://example.org/a.csv"),
    ),
)


def refuse(file, partial):
    raise AssertionError(f"asked for {file.url}")


def publisher(content):
    asked = []

    def fetch(file, partial):
        asked.append(file.url)
        partial.write_bytes(content)
        yield len(content)

    fetch.asked = asked
    return fetch


def test_a_file_that_is_there_is_verified_and_not_downloaded(tmp_path):
    (tmp_path / "toy/deep").mkdir(parents=True)
    (tmp_path / "toy/deep/a.csv").write_bytes(CONTENT)
    assert locate(SET, tmp_path, fetch=refuse) == tmp_path / "toy"
    assert verify(SET, tmp_path) == []


def test_a_missing_file_is_downloaded_once(tmp_path):
    fetch = publisher(CONTENT)
    assert verify(SET, tmp_path) == ["toy/deep/a.csv is not there"]
    for _ in range(2):
        folder = locate(SET, tmp_path, fetch=fetch)
        assert (folder / "deep/a.csv").read_bytes() == CONTENT
    assert fetch.asked == ["https://example.org/a.csv"]


def test_a_changed_file_is_refused_and_left_for_its_owner_to_see(tmp_path):
    (tmp_path / "toy/deep").mkdir(parents=True)
    (tmp_path / "toy/deep/a.csv").write_bytes(CONTENT + b"3,4\n")
    with pytest.raises(InvalidInput, match=r"toy/deep/a\.csv is not the published file") as caught:
        locate(SET, tmp_path, fetch=refuse)
    assert caught.value.code == "data_changed"
    assert (tmp_path / "toy/deep/a.csv").exists()


def test_a_download_of_other_bytes_leaves_nothing_behind(tmp_path):
    with pytest.raises(DataChanged, match="not the published file"):
        locate(SET, tmp_path, fetch=publisher(b"<html>moved</html>"))
    assert not list((tmp_path / "toy/deep").iterdir())


def test_without_a_network_the_message_says_what_to_do(tmp_path):
    def offline(file, partial):
        raise OSError(101, "Network is unreachable")
        yield 0

    with pytest.raises(Unavailable, match=r"Network is unreachable.*by hand.*--data") as caught:
        locate(SET, tmp_path, fetch=offline)
    assert caught.value.code == "data_unreachable"
    assert isinstance(caught.value, DataUnreachable)


def test_a_file_that_is_published_nowhere_is_named_after_the_others_have_arrived(tmp_path):
    own = SourceFile("made-here.csv", hashlib.sha256(b"").hexdigest(), "")
    both = replace(SET, files=(own, *SET.files))
    with pytest.raises(DataMissing, match=r"made-here\.csv.*published nowhere"):
        locate(both, tmp_path, fetch=publisher(CONTENT))
    assert locate(both, tmp_path, only={"deep/a.csv"}, fetch=refuse) == tmp_path / "toy"


def test_a_slip_of_a_name_is_answered_with_names_like_it():
    with pytest.raises(UnknownData, match="fc-ett"):
        find("fc-et")


@pytest.mark.parametrize("dataset", SETS.values(), ids=lambda d: d.name)
def test_every_registered_set_can_be_cited_and_checked(dataset):
    assert dataset.files
    assert dataset.family
    assert dataset.protocol
    paths = [file.path for file in dataset.files]
    assert len(set(paths)) == len(paths)
    for file in dataset.files:
        assert file.url == "" or file.url.startswith("https://")
        assert len(file.sha256) == 64
        assert 0 <= file.bytes <= 5_000_000
    for part in (*dataset.tables, *dataset.splits):
        path = part.path.partition("#")[0]
        assert any(one == path or one.startswith(f"{path}/") for one in paths), part


@pytest.mark.parametrize("dataset", SETS.values(), ids=lambda d: d.name)
def test_sets_that_shape_shipped_weights_allow_it_and_name_a_commit(dataset):
    if "/tree/" in dataset.source:
        commit = dataset.source.split("/tree/")[1][:40]
        assert len(commit) == 40
        assert all(commit in file.url for file in dataset.files if file.url)
    if dataset.may_ship:
        unfit = ("none", "research", "mixed", "-ND", "-NC")
        assert not any(word in dataset.licence for word in unfit)


def test_the_borders_of_the_parts_are_those_of_the_literature():
    borders = {s.name: (s.first, s.last) for s in (*ETT.splits, *WEATHER.splits, *ISO_NE.splits)}
    assert borders["ETTh1 train"] == borders["ETTh2 train"] == (0, 8_640)
    assert borders["ETTh1 valid"] == (8_640, 11_520)
    assert borders["ETTh1 test"] == (11_520, 14_400)
    assert borders["WTH train"] == (0, 20_160)
    assert borders["WTH test"] == (27_360, 34_560)
    assert borders["test"] == (1_036 * 24, 1_401 * 24)


def test_the_command_lists_verifies_and_says_what_is_missing(tmp_path):
    run = CliRunner().invoke
    listed = run(app, ["list", "--data", str(tmp_path)])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in SETS)
    missing = run(app, ["verify", "fc-ett", "--data", str(tmp_path)])
    assert missing.exit_code == 1
    assert "fc-ett/ETTh1.csv is not there" in missing.output
    unknown = run(app, ["fetch", "fc-nothing", "--data", str(tmp_path)])
    assert unknown.exit_code == 1
    assert "data_unknown" in unknown.output


@pytest.mark.data
@pytest.mark.parametrize("dataset", SETS.values(), ids=lambda d: d.name)
def test_the_real_files_have_the_declared_schema_and_parts(dataset, data_dir):
    if dataset.files[0].url and not (data_dir / dataset.name).is_dir():
        pytest.skip(f"{dataset.name} is not there: `plaza data fetch {dataset.name}`")
    folder = locate(dataset, data_dir, fetch=refuse)
    for table in dataset.tables:
        with (folder / table.path).open(newline="", encoding="utf-8") as file:
            if table.path.endswith(".csv"):
                head, *rows = csv.reader(file)
                assert tuple(head) == table.columns or not table.columns
                assert len(rows) == table.rows
            else:
                assert sum(1 for _ in file) == table.rows
    for split in dataset.splits:
        part = folder / split.path.partition("#")[0]
        if part.is_dir():
            assert len(list(part.iterdir())) == split.count
        else:
            rows = [table.rows for table in dataset.tables if table.path == split.path]
            assert not rows or split.last <= rows[0]
