"""Paths, schemas and examples of the endpoints for series, for `openapi.document`."""

from __future__ import annotations

from typing import Any

from plaza_serving.doors.openapi.parts import ONCE, STICKY, json_body, post
from plaza_serving.doors.openapi.schemas import (
    COUNT,
    GAPPY,
    NUMBERS,
    QUANTILES,
    TEXT,
    Schema,
    example,
    list_,
    object_,
    task_request,
    task_response,
)
from plaza_serving.doors.series import MAX_LEVELS
from plaza_serving.doors.series_answers import SVG
from plaza_serving.doors.series_body import CSV, MAX_KNOWN, MAX_SERIES

_CHANCE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_STEPS: Schema = {"type": "integer", "minimum": 1}
_MOMENT: Schema = {"type": ["string", "null"], "description": "ISO 8601"}
_ROWS: Schema = {**list_(NUMBERS), "description": "One row per quantile"}
_SHEET: Schema = {"schema": {"type": "string"}}

_SERIES: Schema = {
    "values": {**GAPPY, "description": "Oldest first, evenly spaced; null: not there"},
    "series": {
        **list_(GAPPY),
        "maxItems": MAX_SERIES,
        "description": "Several, in place of values",
    },
}
_KNOWN: Schema = {
    **list_(NUMBERS),
    "maxItems": MAX_KNOWN,
    "description": "Covariates that the model names, over its context and the steps ahead",
}
_HORIZON: Schema = {**_STEPS, "description": "Steps ahead"}
_DRAW: Schema = {**COUNT, "description": "Of which series a drawing is wanted", "default": 0}
_LEVEL: Schema = object_(
    {
        "name": {"type": "string", "minLength": 1, "maxLength": 40},
        "threshold": {
            "type": ["number", "array"],
            "items": {"type": "number"},
            "description": "In units of the series; or one for each series",
        },
    },
    {
        "above": {"type": "boolean", "default": True, "description": "false: warns of less"},
        "enter": {**_CHANCE, "description": "Chance to raise it from; default 0.5"},
        "leave": {**_CHANCE, "description": "Chance to lower it below; default half of enter"},
    },
)
_LEVEL_SAID: Schema = object_(
    {
        "name": TEXT,
        "threshold": {"type": "number"},
        "above": {"type": "boolean"},
        "raised": {"type": "boolean"},
        "since": _MOMENT,
        "chance": {**_CHANCE, "description": "The largest, which decides"},
        "step": {**_STEPS, "description": "When it is largest"},
        "chances": {**list_(_CHANCE), "description": "At each step ahead"},
        "enter": _CHANCE,
        "leave": _CHANCE,
        "false_alarms": {
            "type": ["number", "null"],
            "description": "Share of quiet times it warned about on history, if the model says so",
        },
        "false_alarms_range": {
            "type": ["array", "null"],
            "items": _CHANCE,
            "minItems": 2,
            "maxItems": 2,
            "description": "Where that share lies in nine of ten stretches of time to come",
        },
    }
)
_FORECAST: Schema = {
    "values": _ROWS,
    "mean": {**NUMBERS, "description": "Expected values, where the model gives them"},
}
_SCORED: Schema = {
    "scores": {
        "type": "array",
        "items": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "description": "0: as expected; near 1: hardly ever happens; null: not measured",
    },
    "values": {**_ROWS, "description": "What they are compared with: one row per quantile"},
}
_WARNED: Schema = {
    "level": {"type": ["string", "null"], "description": "The most severe one that is raised"},
    "since": _MOMENT,
    "levels": list_(_LEVEL_SAID),
    "values": _ROWS,
}

SCHEMAS: dict[str, Schema] = {
    "ForecastRequest": task_request(
        {"horizon": _HORIZON}, {**_SERIES, "known": _KNOWN, "quantiles": QUANTILES}
    ),
    "ForecastResponse": task_response(
        {"quantiles": QUANTILES},
        {
            **_FORECAST,
            "forecasts": {**list_(object_({}, _FORECAST)), "description": "Of several series"},
        },
    ),
    "AnomalyRequest": task_request(
        {},
        {
            **_SERIES,
            "known": {**_KNOWN, "description": "Covariates that the model names, over the series"},
            "steps": {**_STEPS, "description": "How many of the last values to score"},
            "every": {**_STEPS, "description": "Steps from one forecast to the next"},
            "draw": _DRAW,
        },
    ),
    "AnomalyResponse": task_response(
        {
            "first": {**COUNT, "description": "Place of the first scored value, from 0"},
            "quantiles": QUANTILES,
        },
        {**_SCORED, "series": {**list_(object_(_SCORED)), "description": "Of several series"}},
    ),
    "WarningRequest": task_request(
        {},
        {
            **_SERIES,
            "known": _KNOWN,
            "horizon": {**_HORIZON, "description": "Steps ahead; default as far as it can see"},
            "levels": {
                **list_(_LEVEL),
                "maxItems": MAX_LEVELS,
                "description": "The mildest first; default the model's",
            },
            "at": {"type": "string", "description": "Time of the last values; default now"},
            "state": {"type": "string", "description": "Of the answer before"},
            "draw": _DRAW,
        },
    ),
    "WarningResponse": task_response(
        {"at": TEXT, "quantiles": QUANTILES, "state": TEXT},
        {**_WARNED, "series": {**list_(object_(_WARNED)), "description": "Of several series"}},
    ),
}

_LEVELS = [{"name": "watch", "threshold": 150}, {"name": "warning", "threshold": 165}]
_EIGHT = [112, 118, 132, 129, 121, 135, 148, 148]
EXAMPLES: dict[str, Schema] = {
    "ForecastRequest": {
        "fan": example(
            "Three steps ahead with an 80 % band",
            {
                "model": "forecaster",
                "values": _EIGHT,
                "horizon": 3,
                "quantiles": [0.1, 0.5, 0.9],
            },
        )
    },
    "AnomalyRequest": {
        "last": example(
            "The last two values", {"model": "forecaster", "values": _EIGHT, "steps": 2}
        )
    },
    "WarningRequest": {
        "own": example(
            "Two levels of one's own",
            {
                "model": "forecaster",
                "values": _EIGHT,
                "levels": _LEVELS,
                "at": "2026-07-01T12:00:00+00:00",
            },
        )
    },
}
_FORMS = (
    "The body is JSON, or a table in CSV (`time`, the covariates by name, every other column a "
    "series; rows after the last value are the steps ahead) with the other fields in the query "
    "string. The answer is what `Accept` asks for: JSON, CSV, or a drawing in SVG."
)
_ENDPOINTS = (
    ("/v1/forecast", "forecast", "Continue a series, with quantiles", "Forecast"),
    ("/v1/anomaly/score", "anomalies", "How strange the last values were", "Anomaly"),
    ("/v1/warning/level", "warn", "What to warn of, since when, and how likely", "Warning"),
)


def paths() -> dict[str, Any]:
    return {path: {"post": _endpoint(*words)} for path, *words in _ENDPOINTS}


def _endpoint(name: str, summary: str, schema: str) -> dict[str, Any]:
    body = {**json_body(f"{schema}Request", EXAMPLES), CSV: _SHEET}
    operation = post(name, summary, body, f"{schema}Response", "Tasks")
    operation["description"] = _FORMS
    operation["responses"]["200"]["content"] |= {CSV: _SHEET, SVG: _SHEET}
    fields = SCHEMAS[f"{schema}Request"]["properties"]
    operation["parameters"] = [ONCE, STICKY] + [
        {"name": field, "in": "query", "description": "For a table as the body", "schema": said}
        if field not in {"levels", "quantiles"}
        else {
            "name": field,
            "in": "query",
            "description": "For a table as the body, as JSON",
            "content": {"application/json": {"schema": said}},
        }
        for field, said in fields.items()
        if field not in _SERIES and field != "known"
    ]
    if schema == "Warning":
        operation["responses"]["200"]["headers"]["x-plaza-state"] = {
            "description": "Of a table or drawing: the state for the question after this one",
            "schema": TEXT,
        }
    return operation
