"""The sets of series that protocols and recipes measure on."""

from __future__ import annotations

from plaza_training.data.registry import SETS

ETT = SETS["fc-ett"]
WEATHER = SETS["fc-weather-wth"]
LOS_LOOP = SETS["fc-losloop"]
ISO_NE = SETS["fc-isone-load"]
M4 = SETS["fc-m4"]
FLUSIGHT = SETS["fc-flusight"]
