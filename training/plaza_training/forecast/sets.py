"""The measured series that forecasters learn from, and how their files are read."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float32]
"""(steps, series), evenly spaced, oldest first."""


def read_speeds(folder: Path) -> Series:
    """Miles per hour, every 5 minutes: 2,016 x 207."""
    return np.loadtxt(folder / "los_speed.csv", delimiter=",", skiprows=1, dtype=np.float32)


def read_load(folder: Path) -> Series:
    """Megawatts, every hour: 103,776 x 1. The temperature in the file is not read."""
    with (folder / "selected_data_ISONE.csv").open(newline="", encoding="utf-8") as file:
        load = [float(row["demand"]) for row in csv.DictReader(file)]
    return np.array(load, dtype=np.float32)[:, np.newaxis]
