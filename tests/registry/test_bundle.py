"""A bundle is exactly its listed files; everything else is refused by the name of the file."""

import hashlib
import json
import os
import pickle
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaza_core.errors import InvalidBundle
from plaza_core.ids import Digest
from plaza_core.schemas import SCHEMAS
from plaza_core.table import FileEntry
from plaza_registry.bundle import BundleLimits, bundle_digest, read_bundle, valid_path
from tests.registry.making import bundle_files, model_bytes, write_bundle


def refused(directory: Path, limits: BundleLimits | None = None) -> InvalidBundle:
    with pytest.raises(InvalidBundle) as caught:
        read_bundle(directory, limits)
    return caught.value


def test_a_plain_directory_is_read(tmp_path):
    files = bundle_files() | {"samples/first.json": b"[[1, 2]]"}
    files["plaza.yaml"] += b"samples: [samples/first.json]\n"
    bundle = read_bundle(write_bundle(tmp_path, files))
    assert bundle.manifest.name == "doubler"
    assert bundle.card == "# Doubler\n"
    paths = [entry.path for entry in bundle.files]
    assert paths == ["labels.json", "model.onnx", "plaza.yaml", "samples/first.json"]
    assert bundle.files[1].size == len(model_bytes())
    assert bundle.digest == bundle_digest(reversed(bundle.files))


def test_the_digest_ignores_the_card_and_notices_everything_else(tmp_path):
    plain = read_bundle(write_bundle(tmp_path / "a")).digest
    other_card = bundle_files(card="# Better words\n")
    assert read_bundle(write_bundle(tmp_path / "b", other_card)).digest == plain
    no_card = bundle_files()
    del no_card["CARD.md"]
    assert read_bundle(write_bundle(tmp_path / "c", no_card)).digest == plain
    assert read_bundle(write_bundle(tmp_path / "d", bundle_files(scale=2))).digest != plain
    renamed = bundle_files()
    renamed["classes.json"] = renamed.pop("labels.json")
    assert read_bundle(write_bundle(tmp_path / "e", renamed)).digest != plain


entries = st.builds(
    FileEntry,
    path=st.from_regex(r"[a-z]{1,8}\.json", fullmatch=True),
    size=st.integers(0, 1 << 40),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True).map(Digest),
)


@given(st.lists(entries, max_size=6, unique_by=lambda entry: entry.path), st.randoms())
def test_the_digest_does_not_depend_on_order(files, random):
    shuffled = files[:]
    random.shuffle(shuffled)
    assert bundle_digest(shuffled) == bundle_digest(files)


def test_the_digest_form_is_fixed_for_ever():
    """The number comes from `sha256sum` over the text `[["model.onnx",3,"abab…ab"]]`."""
    entry = FileEntry(path="model.onnx", size=3, sha256=Digest("ab" * 32))
    expected = "41a44ef013e432670fc3be4000c24d0a8da627e8e5e613b6de4ae7beaeac5c88"
    assert bundle_digest([entry]) == expected


@pytest.mark.parametrize("missing", ["model.onnx", "plaza.yaml"])
def test_required_files(tmp_path, missing):
    files = bundle_files()
    del files[missing]
    assert refused(write_bundle(tmp_path, files)).input == missing


def test_a_sample_that_is_not_there(tmp_path):
    files = bundle_files()
    files["plaza.yaml"] += b"samples: [samples/gone.json]\n"
    assert refused(write_bundle(tmp_path, files)).input == "samples/gone.json"


def test_names_that_differ_only_in_their_case(tmp_path):
    """On some file systems one would be the other."""
    files = {**bundle_files(), "labels.txt": b"a", "Labels.txt": b"b"}
    assert "only in their case" in refused(write_bundle(tmp_path, files)).message


def test_holes_count_as_bytes_and_are_not_read(tmp_path):
    directory = write_bundle(tmp_path, bundle_files())
    with (directory / "w.data").open("wb") as file:
        file.truncate(1 << 42)
    found = refused(directory)
    assert (found.input, "larger than allowed" in found.message) == ("w.data", True)


def test_a_hundred_thousand_files_are_not_looked_at(tmp_path):
    directory = write_bundle(tmp_path, bundle_files())
    for number in range(1000):
        (directory / f"f{number}.txt").write_bytes(b"")
    assert refused(directory).message == "more than 64 files"


def test_a_pipe_is_not_waited_for(tmp_path):
    directory = write_bundle(tmp_path, bundle_files())
    os.mkfifo(directory / "labels.txt")
    assert refused(directory).message == "not a plain file"


def test_no_such_directory(tmp_path):
    assert "not a directory" in refused(tmp_path / "absent").message


class TestLinks:
    """No second name for a file, of whatever kind, gets in."""

    def test_symbolic_link_to_a_file(self, tmp_path):
        write_bundle(tmp_path / "b")
        (tmp_path / "b/secret.txt").symlink_to("/etc/passwd")
        assert refused(tmp_path / "b").input == "secret.txt"

    def test_the_model_itself_as_a_link(self, tmp_path):
        write_bundle(tmp_path / "b")
        (tmp_path / "b/model.onnx").rename(tmp_path / "outside.onnx")
        (tmp_path / "b/model.onnx").symlink_to(tmp_path / "outside.onnx")
        assert refused(tmp_path / "b").input == "model.onnx"

    def test_symbolic_link_to_a_directory(self, tmp_path):
        write_bundle(tmp_path / "b")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "b/assets").symlink_to(tmp_path / "elsewhere")
        assert refused(tmp_path / "b").input == "assets"

    def test_hard_link(self, tmp_path):
        write_bundle(tmp_path / "b")
        (tmp_path / "private.json").write_text("{}")
        (tmp_path / "b/vocabulary.json").hardlink_to(tmp_path / "private.json")
        error = refused(tmp_path / "b")
        assert (error.input, "hard link" in error.message) == ("vocabulary.json", True)

    def test_named_pipe(self, tmp_path):
        write_bundle(tmp_path / "b")
        os.mkfifo(tmp_path / "b/pipe.json")
        assert refused(tmp_path / "b").input == "pipe.json"


@pytest.mark.parametrize(
    "path",
    [
        "../up.json",
        "/etc/a.json",
        "a/b/c.json",
        "a//b.json",
        ".hidden.json",
        "a/../b.json",
        "a b.txt",
        "x\x00.json",
        "x\n.json",
        "",
        "assets/",
        "ü.json",
        "C:\\a.json",
        "-rf.json",
        "a" * 200 + ".json",
    ],
)
def test_unsafe_paths(path):
    with pytest.raises(InvalidBundle):
        valid_path(path)


@pytest.mark.parametrize(
    "name", ["w.pkl", "w.pt", "w.joblib", "w.zip", "w.tar.gz", "x.so", "x.py", "w"]
)
def test_endings_that_do_not_belong(tmp_path, name):
    error = refused(write_bundle(tmp_path, bundle_files() | {name: b"{}"}))
    assert error.input == name
    assert "model.onnx" in error.message


def archives() -> dict[str, bytes]:
    plain, packed, inside = BytesIO(), BytesIO(), BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("model.onnx"))
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("model.onnx"))
    with zipfile.ZipFile(inside, "w") as archive:
        archive.writestr("data.pkl", b"x")
    return {
        "tar": plain.getvalue(),
        "gzip": packed.getvalue(),
        "zip": inside.getvalue(),
        "pickle 2": pickle.dumps({"weights": [1.0]}, protocol=2),
        "pickle 5": pickle.dumps({"weights": [1.0]}, protocol=5),
        "pickle 0": pickle.dumps({"weights": [1.0]}, protocol=0),
        "text": b"just words",
        "nothing": b"",
        "elf": b"\x7fELF" + bytes(60),
    }


@pytest.mark.parametrize("kind", sorted(archives()))
def test_other_formats_named_as_a_model(tmp_path, kind):
    files = bundle_files() | {"model.onnx": archives()[kind]}
    assert refused(write_bundle(tmp_path, files)).input == "model.onnx"


@pytest.mark.parametrize("kind", ["tar", "gzip", "zip", "pickle 2", "pickle 5", "elf"])
def test_other_formats_named_as_an_asset(tmp_path, kind):
    files = bundle_files() | {"weights.bin": archives()[kind]}
    assert refused(write_bundle(tmp_path, files)).input == "weights.bin"


def test_weights_that_begin_like_a_pickle_are_still_weights(tmp_path):
    files = bundle_files() | {"weights.bin": b"\x80\x04" + bytes(100)}
    assert len(read_bundle(write_bundle(tmp_path, files)).files) == 4


class TestModelHeader:
    def test_cut_short_anywhere(self, tmp_path):
        whole = model_bytes()
        for end in range(len(whole)):
            files = bundle_files() | {"model.onnx": whole[:end]}
            assert refused(write_bundle(tmp_path, files)).input == "model.onnx"

    def test_two_graphs(self, tmp_path):
        files = bundle_files() | {"model.onnx": model_bytes() * 2}
        assert refused(write_bundle(tmp_path, files)).input == "model.onnx"

    def test_a_length_that_no_file_has(self, tmp_path):
        files = bundle_files() | {"model.onnx": b"B" + b"\xff" * 8 + b"\x7f"}
        assert "cut short" in refused(write_bundle(tmp_path, files)).message

    @given(st.binary(max_size=300))
    def test_noise_is_refused_and_nothing_else_happens(self, tmp_path_factory, noise):
        directory = tmp_path_factory.mktemp("noise")
        files = bundle_files() | {"model.onnx": noise}
        assert refused(write_bundle(directory, files)).input == "model.onnx"


class TestLimits:
    def test_bytes_one_step_each_side(self, tmp_path):
        write_bundle(tmp_path)
        total = sum(path.stat().st_size for path in tmp_path.iterdir())
        assert read_bundle(tmp_path, BundleLimits(total_bytes=total))
        assert "larger" in refused(tmp_path, BundleLimits(total_bytes=total - 1)).message

    def test_files_one_step_each_side(self, tmp_path):
        write_bundle(tmp_path)
        assert read_bundle(tmp_path, BundleLimits(files=4))
        assert "3 files" in refused(tmp_path, BundleLimits(files=3)).message

    def test_a_card_is_text_of_a_page_or_two(self, tmp_path):
        write_bundle(tmp_path, bundle_files(card="x" * (256 * 1024 + 1)))
        assert refused(tmp_path).input == "CARD.md"
        write_bundle(tmp_path, bundle_files() | {"CARD.md": b"\xff\xfe"})
        assert refused(tmp_path).input == "CARD.md"


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_schema_is_the_one_in_force(name):
    """After a wanted change: python -m plaza_core.schemas contracts."""
    published = Path(__file__).parents[2] / "contracts" / name
    assert json.loads(published.read_text()) == SCHEMAS[name].model_json_schema()


def test_a_card_whose_front_matter_is_wrong_is_told_by_field(tmp_path):
    card = "---\nlicense: MIT\n---\n# Doubler\n"
    error = refused(write_bundle(tmp_path, bundle_files(card=card)))
    assert error.input == "CARD.md: license"
    assert "did you mean 'licence'?" in error.message


class TestTheDigest:
    """A documented form, which nothing but names and bytes of files can change."""

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
    @given(st.permutations(sorted(bundle_files())), st.randoms())
    def test_order_times_and_modes_do_not_matter(self, tmp_path_factory, order, random):
        directory = tmp_path_factory.mktemp("same")
        for path in order:
            write_bundle(directory, {path: bundle_files()[path]})
            (directory / path).chmod(random.choice([0o400, 0o600, 0o644, 0o755]))
            when = random.randrange(1, 2**31)
            os.utime(directory / path, (when, when))
        assert read_bundle(directory).digest == self.plain(tmp_path_factory)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    @given(st.data())
    def test_any_byte_of_any_file_matters(self, tmp_path_factory, data):
        files = bundle_files()
        path = data.draw(st.sampled_from(["model.onnx", "plaza.yaml", "labels.json"]))
        at, bit = data.draw(st.integers(0, len(files[path]) - 1)), data.draw(st.integers(0, 7))
        spoilt = bytearray(files[path])
        spoilt[at] ^= 1 << bit
        directory = write_bundle(tmp_path_factory.mktemp("other"), files | {path: bytes(spoilt)})
        try:
            digest = read_bundle(directory).digest
        except InvalidBundle:
            return  # it is no bundle any more
        assert digest != self.plain(tmp_path_factory)

    def test_the_documented_form_by_hand(self, tmp_path):
        """As docs/bundles.md tells it, without a line of the hub's code."""
        directory = write_bundle(tmp_path)
        rows = [
            [path, len(content), hashlib.sha256(content).hexdigest()]
            for path, content in sorted(bundle_files().items())
            if path != "CARD.md"
        ]
        text = json.dumps(rows, separators=(",", ":"))
        assert read_bundle(directory).digest == hashlib.sha256(text.encode()).hexdigest()

    def plain(self, tmp_path_factory):
        return read_bundle(write_bundle(tmp_path_factory.mktemp("plain"))).digest
