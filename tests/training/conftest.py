"""The parts that training tests share."""

import os
from pathlib import Path

import numpy as np
import pytest

from plaza_core.plugins import ACCELERATORS, load
from plaza_training.progress import Silent
from plaza_training.recipe import Job


@pytest.fixture
def runners():
    """The real CPU provider: what is tested is what is served."""
    return load(ACCELERATORS, "cpu")


@pytest.fixture
def data_dir(request):
    """Where the published files are: 128 MB, which no clone has."""
    if not os.environ.get("PLAZA_DATA"):
        pytest.skip(f"PLAZA_DATA names no data directory: {request.node.originalname} did not run")
    return Path(os.environ["PLAZA_DATA"])


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path / "data", seed=7, progress=Silent())


@pytest.fixture
def waves():
    """Twelve noisy daily waves of 24 steps with different heights: (480, 12)."""
    random = np.random.default_rng(5)
    steps = np.arange(480)[:, None]
    height = np.linspace(5, 20, 12)
    values = 50 + height * np.sin(2 * np.pi * (steps / 24 + np.linspace(0, 1, 12)))
    return (values + random.normal(0, 1, values.shape)).astype(np.float32)
