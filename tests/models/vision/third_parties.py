"""Opening a detector of another project as a user does: a manifest, its weights, its labels."""

import os
import shutil
from pathlib import Path

import onnxruntime

from plaza_core.manifest import parse_manifest
from plaza_models.tasks import DetectTask
from plaza_models.vision.detect import open_family

MANIFESTS = Path(__file__).parent / "third_party"
DATA = Path(os.environ.get("PLAZA_DATA", "data"))
VEHICLES = {"car", "bus", "truck"}


def bundle(directory, name, weights):
    """The manifest, and how to run the graph beside it."""
    shutil.copytree(MANIFESTS / name, directory, dirs_exist_ok=True)
    shutil.copy(DATA / "models" / weights, directory / "model.onnx")
    shutil.copy(DATA / "models" / "coco.names", directory / "labels.txt")
    manifest = parse_manifest((directory / "plaza.yaml").read_bytes())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(directory / "model.onnx", options)
    names = [output.name for output in session.get_outputs()]
    return manifest, lambda tensors: dict(zip(names, session.run(names, tensors), strict=True))


def opened(directory, name, weights):
    """(picture, threshold) -> Detections."""
    manifest, run = bundle(directory, name, weights)
    family = open_family(directory, manifest)

    def ask(image, threshold):
        prepared = family.prepare(DetectTask(image, threshold))
        return family.interpret(run(prepared.tensors), prepared.context)

    return ask
