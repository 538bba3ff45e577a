"""A model that somebody logged with stock `mlflow.onnx.log_model` becomes a bundle; nothing else
does, and nothing is fetched from anywhere but the configured MLflow."""

import os
from pathlib import Path

import numpy as np
import pytest

from plaza_accel.examination.examine import SandboxExaminer
from plaza_core.errors import InvalidBundle, InvalidInput, NotFound, PayloadTooLarge, Unavailable
from plaza_core.table import Visibility
from plaza_core.testing import MemoryBlobs, MemoryTracker
from plaza_registry.artifacts import LocalArtifacts, open_artifacts
from plaza_registry.bundle import BundleLimits, read_bundle
from plaza_registry.importing import Importer, onnx_file
from plaza_registry.mirror import Mirror
from plaza_registry.mlflow_source import find
from plaza_registry.register import Registrar
from tests.registry.logged import linear_model, log_linear, tracking, weights_of
from tests.registry.making import ALICE
from tests.registry.records import MemoryRecords

pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own, all over its writers
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning"),
    pytest.mark.timeout(240),
]


@pytest.fixture(scope="module")
def served(mlflow_server):
    """(address, run id): logged through the server and registered as `Road Cars`."""
    run = log_linear(mlflow_server.address, registered="Road Cars")
    return mlflow_server.address, run


@pytest.fixture
def importer(served, tmp_path):
    return Importer(served[0], tmp_path / "imports")


def test_what_was_logged_becomes_a_bundle_with_its_lineage(served, importer, tmp_path):
    run = served[1]
    with importer.fetched("models:/Road Cars/1", organisation=None) as found:
        bundle = read_bundle(found.directory)
        names = {entry.path for entry in bundle.files}
        kept = next(name for name in names if name.endswith(".data"))
        assert names == {"model.onnx", "plaza.yaml", kept}
        assert bundle.manifest.name == "road-cars"
        (given,), (answered,) = bundle.manifest.signature.inputs, bundle.manifest.signature.outputs
        assert (given.name, given.datatype, given.shape) == ("x", "FP32", ["batch", 64])
        assert (answered.name, answered.shape) == ("y", ["batch", 64])
        weights = np.fromfile(found.directory / kept, np.float32)
        assert np.array_equal(weights.reshape(64, 64), weights_of(linear_model()))
        assert "imported from `models:/Road Cars/1`" in bundle.card
        assert "accuracy: 0.93" in bundle.card
    lineage = found.lineage
    assert (lineage.run, lineage.source) == (run, "models:/Road Cars/1")
    assert lineage.artifacts.startswith("mlflow-artifacts:/")
    assert (dict(lineage.metrics), bool(lineage.user)) == ({"accuracy": 0.93}, True)
    assert list((tmp_path / "imports").iterdir()) == [], "nothing stays behind"


def test_by_alias_and_by_run_it_is_the_same_digest(served, importer):
    address, run = served
    with tracking(address) as mlflow:
        mlflow.MlflowClient().set_registered_model_alias("Road Cars", "best", "1")
    digests = []
    for source in ("models:/Road Cars/1", "models:/Road Cars@best", f"runs:/{run}/model"):
        with importer.fetched(source, organisation=None, name="cars") as found:
            digests.append(read_bundle(found.directory).digest)
    assert len(set(digests)) == 1


def test_it_passes_the_sandbox_and_again_it_is_the_same_version(served, importer):
    log_linear(served[0], width=8, registered="small")
    records = MemoryRecords()
    registrar = Registrar(
        MemoryBlobs(),
        records,
        SandboxExaminer(timeout_s=60, memory_mb=3072),
        Mirror(records, MemoryTracker()),
    )
    done = []
    for _ in range(2):
        with importer.fetched("models:/small/1", organisation=None) as found:
            choice = {"project": "vision", "visibility": Visibility.PROJECT}
            made = registrar.register(ALICE, found.directory, lineage=found.lineage, **choice)
            done.append((made.version.version, made.created))
    assert done == [(1, True), (1, False)]


def test_embedded_mlflow_keeps_files_below_the_configured_directory(tmp_path):
    uri, root = f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "artifacts"
    with tracking(uri) as mlflow:
        experiment = mlflow.create_experiment("trained", artifact_location=root.as_uri())
    run = log_linear(uri, registered="cars", experiment=experiment)
    importer = Importer(uri, tmp_path / "imports", root=root)
    for source in ("models:/cars/1", f"runs:/{run}/model"):
        with importer.fetched(source, organisation=None) as found:
            assert read_bundle(found.directory).manifest.signature.inputs[0].shape == ["batch", 64]
    for elsewhere in (None, tmp_path / "other"):
        closed = Importer(uri, tmp_path / "imports", root=elsewhere)
        with pytest.raises(InvalidInput), closed.fetched("models:/cars/1", organisation=None):
            pytest.fail("a file outside the configured directory was read")


class TestWhoseItIs:
    def find(self, importer, source, organisation):
        return find(importer._connection, source, organisation)

    def test_another_organisations_models_do_not_exist(self, served, importer):
        run = served[1]
        for source in ("models:/Road Cars/1", f"runs:/{run}/model", "models:/absent/1"):
            with pytest.raises(NotFound) as refused:
                self.find(importer, source, "globex")
            assert "plaza.organisation = globex" in refused.value.message

    def test_a_tag_of_the_run_the_model_or_the_version_says_whose(self, served, importer):
        address = served[0]
        run = log_linear(address, registered="of acme", tags={"plaza.organisation": "acme"})
        for source in ("models:/of acme/1", f"runs:/{run}/model"):
            assert self.find(importer, source, "acme").lineage.run == run
            with pytest.raises(NotFound):
                self.find(importer, source, "globex")
        with tracking(address) as mlflow:
            client = mlflow.MlflowClient()
            client.set_model_version_tag("of acme", "1", "plaza.organisation", "globex")
        assert self.find(importer, "models:/of acme/1", "globex").lineage.run == run
        with pytest.raises(NotFound):
            self.find(importer, "models:/of acme/1", "acme")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "http://elsewhere/model",
        "file:///etc",
        "models:/cars",
        "models:/cars/latest",
        "models:/a/../1",
        "models:/cars/1/x",
        "runs:/abc/../../etc",
        "runs:/abc/.hidden",
        "runs:/abc",
        "s3://bucket/model",
        "mlflow-artifacts:/0/models/m/artifacts",
    ],
)
def test_only_references_are_taken_never_an_address(importer, source):
    with pytest.raises(InvalidInput), importer.fetched(source, organisation=None):
        pytest.fail("it was fetched")


@pytest.mark.parametrize(
    "source",
    [
        "models:/absent/1",
        "models:/Road Cars/99",
        "models:/Road Cars@absent",
        f"runs:/{'0' * 32}/model",
    ],
)
def test_what_is_not_there_is_not_found(importer, source):
    with pytest.raises(NotFound), importer.fetched(source, organisation=None):
        pytest.fail("it was fetched")


def test_the_hubs_own_mirror_is_not_imported(served, importer):
    with tracking(served[0]) as mlflow:
        client = mlflow.MlflowClient()
        client.create_registered_model("mdl_mirror")
        client.create_model_version("mdl_mirror", f"plaza://bundles/{'ab' * 32}")
    with pytest.raises(InvalidInput, match="the hub itself"):
        find(importer._connection, "models:/mdl_mirror/1", None)


def test_a_bundle_has_a_size(served, tmp_path):
    small = Importer(served[0], tmp_path / "i", limits=BundleLimits(total_bytes=10_000))
    with pytest.raises(PayloadTooLarge), small.fetched("models:/Road Cars/1", organisation=None):
        pytest.fail("it was fetched")
    few = Importer(served[0], tmp_path / "i", limits=BundleLimits(files=3))
    with pytest.raises(InvalidBundle, match="more files"):
        few.fetched("models:/Road Cars/1", organisation=None).__enter__()


def test_mlflow_that_is_away(tmp_path):
    away = Importer("http://127.0.0.1:9", tmp_path / "imports")
    with pytest.raises(Unavailable), away.fetched("models:/cars/1", organisation=None):
        pytest.fail("it was fetched")


class TestPlaces:
    """What MLflow stores is what its users sent."""

    @pytest.mark.parametrize(
        "location",
        [
            "mlflow-artifacts://elsewhere:80/0/m/artifacts",
            "mlflow-artifacts:/0/../../secret",
            "mlflow-artifacts:/0/%2e%2e/secret",
            "mlflow-artifacts:/0/a?path=../x",
            "mlflow-artifacts:/",
            "http://elsewhere/artifacts",
            "https://elsewhere/api/2.0/mlflow-artifacts/artifacts/0",
            "s3://bucket/key",
            "dbfs:/x",
            "ftp://elsewhere/x",
            "plaza://bundles/abc",
            "file://elsewhere/srv/artifacts/x",
            "/etc/ssl",
            "/srv/artifacts",
            "/srv/artifacts/../secret",
            "file:///srv/artifacts/%2e%2e/secret",
            "/srv/artifacts-of-others/x",
            "srv/artifacts/x",
        ],
    )
    def test_a_place_that_is_not_configured_is_refused(self, location):
        with pytest.raises(InvalidInput) as refused:
            open_artifacts(location, server="http://mlflow", root=Path("/srv/artifacts"))
        assert refused.value.input == "source"

    def test_a_server_is_needed_for_what_a_server_hands_out(self):
        with pytest.raises(InvalidInput, match="no server"):
            open_artifacts("mlflow-artifacts:/0/m", server="sqlite:///x.db", root=None)

    def test_no_link_is_followed(self, tmp_path):
        secret = tmp_path / "secret"
        secret.mkdir()
        (secret / "MLmodel").write_text("secret")
        root = tmp_path / "root"
        (root / "plain").mkdir(parents=True)
        (root / "linked").symlink_to(secret)
        (root / "plain" / "MLmodel").symlink_to(secret / "MLmodel")
        os.link(secret / "MLmodel", root / "plain" / "hard.onnx")
        os.mkfifo(root / "plain" / "pipe")
        for folder, name in (
            ("linked", "MLmodel"), ("plain", "MLmodel"), ("plain", "hard.onnx"), ("plain", "pipe"),
        ):  # fmt: skip
            with pytest.raises(InvalidInput):
                list(LocalArtifacts(root, f"{root}/{folder}").read(name))
        with pytest.raises(NotFound):
            list(LocalArtifacts(root, f"{root}/plain").read("absent"))

    @pytest.mark.parametrize("name", ["../MLmodel", "/etc/passwd", "a/b", ".x", "", "a\0b", "a\nb"])
    def test_a_file_is_named_plainly(self, tmp_path, name):
        (tmp_path / "m").mkdir()
        with pytest.raises(InvalidInput):
            list(LocalArtifacts(tmp_path, f"{tmp_path}/m").read(name))


class TestDescriptions:
    @pytest.mark.parametrize(
        "data", ["../../etc/passwd", "/etc/passwd", "a/../b", "sub/model.onnx"]
    )
    def test_a_model_that_is_elsewhere_is_never_opened(self, tmp_path, data):
        described = onnx_file(f"flavors: {{onnx: {{data: {data!r}}}}}")
        (tmp_path / "m").mkdir()
        with pytest.raises(InvalidInput):
            list(LocalArtifacts(tmp_path, f"{tmp_path}/m").read(described))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "flavors: []",
            "flavors: {python_function: {data: model.pkl, loader_module: os}}",
            "flavors: {onnx: {data: [1]}}",
            "flavors: {onnx: model.onnx}",
            "!!python/object/apply:os.system ['true']",
            "a: [" * 5000,
        ],
    )
    def test_what_describes_no_onnx_model_is_refused(self, text):
        with pytest.raises(InvalidBundle) as refused:
            onnx_file(text)
        assert refused.value.input == "MLmodel"

    @pytest.mark.parametrize("location", ["../other/weights.data", "/etc/passwd", "model.onnx",
                                          "sub/w.data", "w.pkl", "plaza.yaml"])  # fmt: skip
    def test_weights_elsewhere_are_refused(self, tmp_path, location):
        import onnx

        model = linear_model()
        (tensor,) = model.graph.initializer
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.ClearField("raw_data")
        tensor.external_data.add(key="location", value=location)
        folder = tmp_path / "root" / "m"
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        (folder / "MLmodel").write_text("flavors: {onnx: {data: model.onnx}}")
        (tmp_path / "root" / "other").mkdir()
        (tmp_path / "root" / "other" / "weights.data").write_bytes(b"secret")
        uri = f"sqlite:///{tmp_path}/mlflow.db"
        with tracking(uri) as mlflow:
            client = mlflow.MlflowClient()
            client.create_registered_model("crafted")
            client.create_model_version("crafted", str(folder))
        importer = Importer(uri, tmp_path / "imports", root=tmp_path / "root")
        with pytest.raises(InvalidInput), importer.fetched("models:/crafted/1", organisation=None):
            pytest.fail("it was fetched")
