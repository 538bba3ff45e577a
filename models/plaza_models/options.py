"""Reading a family's options: pydantic at the border, InvalidBundle naming the option."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from plaza_core.errors import InvalidBundle


class Options(BaseModel):
    """Base of every family's options: frozen, and an unknown option is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


O = TypeVar("O", bound=Options)  # noqa: E741 one letter, as the style of type variables wants


def read_options(model: type[O], options: Mapping[str, Any]) -> O:
    """Raises InvalidBundle whose `input` is `options.NAME`."""
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(("options", *(str(part) for part in first["loc"])))
        raise InvalidBundle(first["msg"], input=where) from None
