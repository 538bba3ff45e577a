"""Tracks between two requests, as text that the caller keeps. Nothing in it is believed."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plaza_core.errors import InvalidInput
from plaza_models.vision.track import Track, Tracker

_MOST_TRACKS = 1000
_Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
_Four = Annotated[list[tuple[_Number, _Number]], Field(min_length=4, max_length=4)]
_Spread = tuple[tuple[_Number, _Number], tuple[_Number, _Number]]
_Name = Annotated[str, Field(max_length=200)]


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: int = Field(ge=1, lt=1 << 53)
    mean: _Four
    spread: Annotated[list[_Spread], Field(min_length=4, max_length=4)]
    seen: _Number = Field(le=0)
    hits: int = Field(ge=1, lt=1 << 53)
    votes: dict[_Name, _Number] = Field(min_length=1, max_length=100)
    sides: dict[_Name, tuple[Literal[-1, 1], _Number, _Number]] = Field(max_length=200)
    crossed: list[_Name] = Field(max_length=400)


class _State(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    next_id: int = Field(ge=1, lt=1 << 53)
    now: _Number = Field(le=0)
    lately: _Number = Field(le=0)
    tracks: list[_Kept] = Field(max_length=_MOST_TRACKS)


def write(tracker: Tracker, seconds: float) -> str:
    """`seconds`: the time of the frame that would come next, which is 0 where this is read."""
    kept = [
        _Kept(
            id=track.id,
            mean=np.round(track.mean, 3).tolist(),
            spread=np.round(track.spread, 3).tolist(),
            seen=min(0.0, round(track.seen - seconds, 6)),
            hits=track.hits,
            votes={label: round(votes, 3) for label, votes in track.votes.items()},
            sides=dict(track.sides),
            crossed=sorted(track.crossed),
        )
        for track in tracker.tracks[-_MOST_TRACKS:]
    ]
    state = _State(
        next_id=tracker.next_id,
        now=min(0.0, round(tracker.now - seconds, 6)),
        lately=min(0.0, round(tracker.lately - seconds, 6)),
        tracks=kept,
    )
    return state.model_dump_json()


def read(text: str, tracker: Tracker) -> None:
    """Raises InvalidInput for what `write` did not write."""
    try:
        state = _State.model_validate_json(text)
    except ValidationError:
        raise InvalidInput("this is no state of an earlier answer", input="state") from None
    tracks = [
        Track(
            each.id,
            np.array(each.mean, np.float64),
            np.array(each.spread, np.float64),
            each.seen,
            each.hits,
            dict(each.votes),
            dict(each.sides),
            set(each.crossed),
        )
        for each in state.tracks
    ]
    tracker.tracks, tracker.next_id = tracks, state.next_id
    tracker.now, tracker.lately = state.now, state.lately
