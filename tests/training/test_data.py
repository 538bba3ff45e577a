"""A data set is either the published one or an error."""

import hashlib

import pytest

from plaza_core.errors import InvalidInput, Unavailable
from plaza_training.data import DataSet, SourceFile, download, locate
from plaza_training.forecast.sets import ISO_NE, LOS_LOOP
from plaza_training.text.sets import BANKING77, CLINC150

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


def refuse(url, target):
    raise AssertionError(f"asked for {url}")


def publisher(content):
    asked = []

    def fetch(url, target):
        asked.append(url)
        target.write_bytes(content)

    fetch.asked = asked
    return fetch


def test_a_file_that_is_there_is_verified_and_not_downloaded(tmp_path):
    (tmp_path / "toy/deep").mkdir(parents=True)
    (tmp_path / "toy/deep/a.csv").write_bytes(CONTENT)
    assert locate(SET, tmp_path, fetch=refuse) == tmp_path / "toy"


def test_a_missing_file_is_downloaded_once(tmp_path):
    fetch = publisher(CONTENT)
    for _ in range(2):
        folder = locate(SET, tmp_path, fetch=fetch)
        assert (folder / "deep/a.csv").read_bytes() == CONTENT
    assert fetch.asked == ["https://example.org/a.csv"]


def test_a_changed_file_is_refused_and_left_for_its_owner_to_see(tmp_path):
    (tmp_path / "toy/deep").mkdir(parents=True)
    (tmp_path / "toy/deep/a.csv").write_bytes(CONTENT + b"3,4\n")
    with pytest.raises(InvalidInput, match=r"toy/deep/a\.csv is not the published file"):
        locate(SET, tmp_path, fetch=refuse)
    assert (tmp_path / "toy/deep/a.csv").exists()


def test_a_download_of_other_bytes_leaves_nothing_behind(tmp_path):
    with pytest.raises(InvalidInput, match="not the published file"):
        locate(SET, tmp_path, fetch=publisher(b"<html>moved</html>"))
    assert not list((tmp_path / "toy/deep").iterdir())


def test_without_a_network_the_message_says_what_to_do(tmp_path):
    def offline(url, target):
        raise OSError(101, "Network is unreachable")

    with pytest.raises(Unavailable, match=r"Network is unreachable.*by hand.*--data"):
        locate(SET, tmp_path, fetch=offline)


def test_only_https_is_fetched(tmp_path):
    for url in ("http://example.org/a", "file:///etc/hostname"):
        with pytest.raises(InvalidInput):
            download(url, tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("dataset", [LOS_LOOP, ISO_NE, BANKING77, CLINC150], ids=lambda d: d.name)
def test_every_shipped_set_allows_shipping_and_names_its_commit(dataset):
    assert dataset.licence in {"MIT", "CC-BY-4.0", "CC-BY-3.0"}
    commit = dataset.source.split("/tree/")[1][:40]
    assert len(commit) == 40
    for file in dataset.files:
        assert file.url.startswith("https://")
        assert commit in file.url
        assert len(file.sha256) == 64
