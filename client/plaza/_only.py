"""Which model of a family the key may call, where there is just one."""

from __future__ import annotations

from plaza._http import Answer, Call
from plaza.errors import PlazaError


def only(family: str) -> Call[str]:
    """The name of the one model of `family`, such as `text.classify`, that the key may call. Raises
    PlazaError `invalid_input` for none, and for several, which it names: never a guess."""

    def read(answer: Answer) -> str:
        names = [one["id"] for one in answer.json()["data"] if one["family"] == family]
        if len(names) == 1:
            return str(names[0])
        found = f"there are several: {', '.join(sorted(names))}" if names else "there is none"
        message = f"name a model of family '{family}'; {found}"
        raise PlazaError("invalid_input", message, input="model")

    return Call("inference", "GET", "/v1/models", read)
