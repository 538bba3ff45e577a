"""Citizens' messages that are made from templates, with their class: for tests of routing.

Wording, place, politeness and slips of the keyboard vary; everything follows from the generator.
"""

from __future__ import annotations

import numpy as np

from plaza_training.text.sets import Examples

TEMPLATES: dict[str, tuple[str, ...]] = {
    "pothole": (
        "there is a deep hole in the road at {place}",
        "my tyre burst on a pothole near {place}",
        "the asphalt at {place} is broken {since}",
    ),
    "street-light": (
        "the street light at {place} has been out {since}",
        "it is completely dark at {place}, no lamp works",
        "a lamp near {place} flickers all night",
    ),
    "rubbish": (
        "somebody dumped old furniture at {place}",
        "the bins at {place} have not been emptied {since}",
        "there are bags of rubbish all over {place}",
    ),
    "noise": (
        "loud music from {place} keeps us awake {since}",
        "the building site at {place} starts work before six",
        "people shout at {place} every night",
    ),
    "water": (
        "a water main has burst at {place}, the street is flooded",
        "the drain at {place} is blocked {since}",
        "brown water comes out of our tap near {place}",
    ),
    "parking": (
        "a car blocks the driveway at {place} {since}",
        "lorries park on the pavement at {place}",
        "somebody parked in the disabled bay at {place}",
    ),
}
CLASSES = tuple(TEMPLATES)
_PLACES = (
    *("Mill Lane 4", "the old station", "Harbour Street", "the school gate", "Rose Square"),
    *("the corner of Elm Road", "house number 12", "the playground", "Bridge Street"),
)
_SINCE = ("since Monday", "for two weeks", "since the storm", "for days now", "again")
_BEFORE = ("", "Hello, ", "Good morning, ", "Please help: ", "hi ", "To the city: ")
_AFTER = ("", ".", "!", ", please send somebody.", " 😡", ". Thank you")


def make_messages(rng: np.random.Generator, count: int, *, slips: float = 0.2) -> Examples:
    """`count` messages, the classes drawn evenly; a share of `slips` has one letter wrong."""
    labels = [CLASSES[i] for i in rng.integers(len(CLASSES), size=count)]
    return Examples(tuple(_message(rng, label, slips) for label in labels), tuple(labels))


def _message(rng: np.random.Generator, label: str, slips: float) -> str:
    said = _one(rng, TEMPLATES[label]).format(place=_one(rng, _PLACES), since=_one(rng, _SINCE))
    text = _one(rng, _BEFORE) + said + _one(rng, _AFTER)
    if rng.random() >= slips:
        return text
    at = int(rng.integers(len(text) - 1))
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _one(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]
