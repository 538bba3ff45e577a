"""`python -m plaza_accel.providers.options_page`: every built-in provider's options, as a page."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from plaza_accel.contract.provider import AcceleratorOptions, ProviderOptions, describe
from plaza_accel.providers import cann, cpu, cuda, openvino, tensorrt

_BUILT_IN = (cpu.provider, openvino.provider, cuda.provider, tensorrt.provider, cann.provider)


def page() -> str:
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Options of the built-in providers"
    yield ""
    yield "Written by `make docs` from the schemas; what they are for: [providers.md](providers.md)"
    yield ""
    yield "## Of every provider but `cpu`"
    yield from _table(AcceleratorOptions, ())
    for provider in _BUILT_IN:
        yield ""
        yield f"## `{provider.name}`"
        shared = () if provider.name == "cpu" else tuple(AcceleratorOptions.model_fields)
        yield from _table(provider.schema, shared)


def _table(schema: type[ProviderOptions], left_out: tuple[str, ...]) -> Iterator[str]:
    yield ""
    yield "| option | default | what it does |"
    yield "|---|---|---|"
    for name, default, description in describe(schema):
        if name not in left_out:
            yield f"| `{name}` | `{default}` | {description} |"


if __name__ == "__main__":
    sys.stdout.write(page())
