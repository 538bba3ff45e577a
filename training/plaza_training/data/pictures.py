"""The sets of road pictures that shape the shipped detector."""

from __future__ import annotations

from plaza_training.data.registry import SETS

VEHICLE626 = SETS["vis-vehicle626"]
ROADCAM4 = SETS["vis-roadcam4"]
