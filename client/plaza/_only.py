"""Which model is meant where none is named: the only one of its family that the key may call."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from plaza._http import Answer, Call, Steps
from plaza.errors import PlazaError

P = ParamSpec("P")
T = TypeVar("T")


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


def of_family(family: str) -> Callable[[Callable[P, Call[T]]], Callable[P, Steps[T]]]:
    """Lets a verb do without its keyword `model`: it then asks which is the only one of `family`,
    in a request of its own."""

    def decorated(build: Callable[P, Call[T]]) -> Callable[P, Steps[T]]:
        @wraps(build)
        def steps(*args: P.args, **kwargs: P.kwargs) -> Steps[T]:
            if kwargs.get("model") is None:
                kwargs["model"] = yield only(family)
            done: T = yield build(*args, **kwargs)
            return done

        return steps

    return decorated
