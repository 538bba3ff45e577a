"""Writes `docs/settings.md` from the settings themselves: `python -m plaza_core.settings_page`."""

from __future__ import annotations

import sys
from typing import Any

from plaza_core.settings import Settings

_HEAD = """# Settings

Every setting is read from the environment (`PLAZA_` and the name in capitals), else from
`plaza.toml` in the working directory, else it has the default below. This page is written by
`make docs`; a test fails when it is stale.

| setting | type | default | what it does |
|---|---|---|---|
"""


def _type(annotation: Any) -> str:
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return text.replace("typing.", "").replace("pathlib._local.", "").replace("pathlib.", "")


def page() -> str:
    """Markdown of the whole page."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "none" if field.default is None else f"`{field.default}`"
        kind = _type(field.annotation).replace("|", "or").replace("  ", " ")
        rows.append(f"| `{name}` | {kind} | {default} | {field.description} |\n")
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(page())
