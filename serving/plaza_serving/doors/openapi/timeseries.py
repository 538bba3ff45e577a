"""Paths, schemas and examples of KServe's time-series forecasts, for `openapi.document`.

They tell errors as OpenAI does.
"""

from __future__ import annotations

from typing import Any

from plaza_serving.doors.openapi.parts import get, json_body, post
from plaza_serving.doors.openapi.schemas import (
    COUNT,
    MODEL_FIELD,
    NUMBERS,
    QUANTILES,
    REQUEST_FIELDS,
    TEXT,
    Schema,
    example,
    list_,
    object_,
)
from plaza_serving.doors.timeseries import FREQUENCIES, MAX_SERIES, MULTIVARIATE, UNIVARIATE

SCHEMAS: dict[str, Schema] = {
    "TimeSeriesRequest": object_(
        {
            "inputs": {
                **list_(
                    object_(
                        {
                            "type": {"enum": [UNIVARIATE, MULTIVARIATE]},
                            "name": TEXT,
                            "series": {**NUMBERS, "minItems": 1},
                            "frequency": {"enum": list(FREQUENCIES)},
                        },
                        {"start_timestamp": {"type": ["string", "null"]}},
                    )
                ),
                "minItems": 1,
                "maxItems": MAX_SERIES,
            },
            "options": object_(
                {"horizon": {"type": "integer", "minimum": 1}},
                {"quantiles": {**QUANTILES, "type": ["array", "null"]}},
            ),
        },
        {**MODEL_FIELD, "metadata": {"type": ["object", "null"]}, **REQUEST_FIELDS},
    ),
    "TimeSeriesResponse": object_(
        {
            "id": TEXT,
            "created_at": COUNT,
            "status": {"const": "completed"},
            "model": TEXT,
            "outputs": list_(
                object_(
                    {
                        "type": TEXT,
                        "id": TEXT,
                        "status": {"const": "completed"},
                        "content": list_(
                            object_(
                                {
                                    "type": {"const": UNIVARIATE},
                                    "name": TEXT,
                                    "mean_forecast": {
                                        **NUMBERS,
                                        "description": "Mean or median",
                                    },
                                    "frequency": TEXT,
                                    "start_timestamp": TEXT,
                                    "quantiles": {
                                        "type": ["object", "null"],
                                        "additionalProperties": NUMBERS,
                                    },
                                    "point": {"enum": ["mean", "median"]},
                                }
                            )
                        ),
                    }
                )
            ),
        }
    ),
    "TimeSeriesModels": list_(TEXT),
}

EXAMPLES: dict[str, Schema] = {
    "TimeSeriesRequest": {
        "hourly": example(
            "One series, hourly",
            {
                "model": "forecaster",
                "inputs": [
                    {
                        "type": UNIVARIATE,
                        "name": "load",
                        "series": [112, 118, 132, 129],
                        "frequency": "H",
                        "start_timestamp": "2026-01-31T00:00:00+00:00",
                    }
                ],
                "options": {"horizon": 3, "quantiles": [0.1, 0.9]},
            },
        )
    },
}


def paths() -> dict[str, Any]:
    tag, kind = "KServe time series", "OpenAIError"
    body = json_body("TimeSeriesRequest", EXAMPLES)
    listed = get("timeSeriesModels", "Models that forecast", "TimeSeriesModels", tag=tag, kind=kind)
    continued = "Continue several series"
    return {
        "/v1/timeseries/models": {"get": listed},
        "/v1/timeseries/forecast": {
            "post": post(
                "timeSeriesForecast", continued, body, "TimeSeriesResponse", tag, kind=kind
            )
        },
    }
