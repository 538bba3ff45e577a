"""The measured series that forecasters learn from, and how their files are read."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaza_training.data import DataSet, SourceFile

Series = NDArray[np.float32]
"""(steps, series), evenly spaced, oldest first."""

_TGCN = "lehaifeng/T-GCN"
_TGCN_COMMIT = "219a2346f5bf68d54d91a948e7a41a08f9edc46b"
_LOAD = "yalickj/load-forecasting-resnet"
_LOAD_COMMIT = "30f7932472ba2b966ba0b85f970c64d0622c100f"

LOS_LOOP = DataSet(
    name="fc-losloop",
    title="Los-loop: traffic speeds of 207 loop detectors, Los Angeles, 1-7 March 2012",
    licence="MIT",
    source=f"https://github.com/{_TGCN}/tree/{_TGCN_COMMIT}/T-GCN/T-GCN-PyTorch",
    attribution=(
        "speeds measured by loop detectors on highways of Los Angeles County, published with "
        "the code of T-GCN, copyright 2021 martinwhl, MIT licence."
    ),
    files=(
        SourceFile(
            path="los_speed.csv",
            sha256="7b732d86ae32b2930595becba28aff39dacbfb2197e250fc0332e1744ce2cbf4",
            url=f"https://raw.githubusercontent.com/{_TGCN}/{_TGCN_COMMIT}"
            "/T-GCN/T-GCN-PyTorch/data/los_speed.csv",
        ),
    ),
)

ISO_NE = DataSet(
    name="fc-isone-load",
    title="ISO New England: hourly system load, March 2003 to December 2014",
    licence="MIT",
    source=f"https://github.com/{_LOAD}/tree/{_LOAD_COMMIT}",
    attribution=(
        "public load data of ISO New England, published with the code of Chen et al. (2018), "
        "copyright 2018 Kunjin Chen, MIT licence."
    ),
    files=(
        SourceFile(
            path="selected_data_ISONE.csv",
            sha256="854390bb4e07bf3d6a6fbf53f1b7f297bf2cbd41f3f273de3250bc34b739740c",
            url=f"https://raw.githubusercontent.com/{_LOAD}/{_LOAD_COMMIT}"
            "/ISO-NE/selected_data_ISONE.csv",
        ),
    ),
)


def read_speeds(folder: Path) -> Series:
    """Miles per hour, every 5 minutes: 2,016 x 207."""
    return np.loadtxt(folder / "los_speed.csv", delimiter=",", skiprows=1, dtype=np.float32)


def read_load(folder: Path) -> Series:
    """Megawatts, every hour: 103,776 x 1. The temperature in the file is not read."""
    with (folder / "selected_data_ISONE.csv").open(newline="", encoding="utf-8") as file:
        load = [float(row["demand"]) for row in csv.DictReader(file)]
    return np.array(load, dtype=np.float32)[:, np.newaxis]
