"""Which form of an answer a caller wants, by its Accept header."""

from __future__ import annotations

from collections.abc import Sequence

JSON = "application/json"


def form_of(accept: bytes, forms: Sequence[str]) -> str:
    """The one of `forms` wanted most; JSON where any will do, and where none of them does."""
    wanted: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept.decode("latin-1").split(",")):
        media, *parameters = (word.strip().lower() for word in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                weight = _weight(value)
        if media:
            wanted.append((-weight, place, media))
    for weight, _, media in sorted(wanted):
        for form in forms:
            kind = form.partition("/")[0]
            if weight < 0 and media in {form, f"{kind}/*", "*/*"}:
                return form
    return JSON


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
