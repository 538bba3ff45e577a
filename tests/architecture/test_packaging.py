"""Rooms, distribution, editable install, linters and types name the same packages."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = sorted(
    path.parent.name for path in ROOT.glob("*/*/py.typed") if not path.parent.name.startswith(".")
)


def test_every_room_is_packaged_linted_and_typed():
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(Path(p).name for p in wheel) == PACKAGES
    rooms = PROJECT["tool"]["hatch"]["build"]["dev-mode-dirs"]
    assert sorted(Path(p).parts[0] for p in wheel) == sorted(rooms)
    assert sorted(PROJECT["tool"]["importlinter"]["root_packages"]) == PACKAGES
    assert sorted(PROJECT["tool"]["mypy"]["packages"]) == PACKAGES
    first_party = PROJECT["tool"]["ruff"]["lint"]["isort"]["known-first-party"]
    assert sorted(first_party) == PACKAGES


HEAVY = {"ray", "torch", "mlflow", "onnx", "onnxruntime", "sqlalchemy", "matplotlib", "minio",
         "grpc"}  # fmt: skip


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("plaza", set()),
        ("plaza_core.testing", set()),
        ("plaza_models.vision.detect", set()),
        ("plaza_models.text.classify", set()),
        ("plaza_models.forecast.quantile", set()),
        ("plaza_serving.doors.http", set()),
        ("plaza_serving.dataplane.plane", set()),
        ("plaza_serving.cli.main", set()),
        ("plaza_serving.control.app", {"sqlalchemy"}),
        ("plaza_registry.register", set()),
        ("plaza_serving.assembly", {"onnxruntime", "grpc"}),
    ],
)
def test_importing_a_room_loads_only_what_it_owns(module, allowed):
    program = f"import sys, {module}; print(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert HEAVY & set(done.stdout.split()) <= allowed
