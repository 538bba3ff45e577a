"""The OpenAPI document as one plain page, which loads nothing from anywhere."""

from __future__ import annotations

import html
import json
from typing import Any

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 58rem; margin: 2rem auto; padding: 0 1rem }
section { border-top: 1px solid #8886; padding: .5rem 0 }
b.method { display: inline-block; min-width: 3.5rem } h2 code { font-size: 1rem }
h2 { font-size: 1rem; font-weight: 600; margin: .5rem 0 } pre { overflow: auto; padding: .75rem;
background: #8882; border-radius: 6px; font-size: .85rem } .note { opacity: .75 }
"""


def page(doc: dict[str, Any]) -> bytes:
    """`doc` as one HTML page that loads nothing from anywhere."""
    sections = [
        _section(path, method, operation)
        for path, item in doc["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]
    title = html.escape(doc["info"]["title"])
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        f"<h1>{title}</h1><p>{html.escape(doc['info']['description'])} Every call needs "
        "<code>Authorization: Bearer plz_…</code> unless it says public. "
        "<a href=openapi.json>openapi.json</a></p>" + "".join(sections)
    ).encode()


def _section(path: str, method: str, operation: dict[str, Any]) -> str:
    note = " <span class=note>public</span>" if operation.get("security") == [] else ""
    text = html.escape(operation.get("description", ""))
    parts = [
        f"<section><h2><b class=method>{method.upper()}</b> <code>{html.escape(path)}</code> "
        f"{html.escape(operation['summary'])}{note}</h2>{f'<p>{text}</p>' if text else ''}"
    ]
    for body in operation.get("requestBody", {}).get("content", {}).values():
        for example in body.get("examples", {}).values():
            shown = html.escape(json.dumps(example["value"], indent=1, ensure_ascii=False))
            parts.append(f"<p>{html.escape(example['summary'])}</p><pre>{shown}</pre>")
    statuses = ", ".join(operation["responses"])
    return "".join(parts) + f"<p class=note>Answers: {statuses}</p></section>"
