"""How far MLflow is behind, as `plaza doctor` says it: asked of the control that runs here."""

from __future__ import annotations

import time

import plaza
from plaza_core.settings import Settings

_KEY_FILE = "admin.key"
_LATE_S = 60


def lag(settings: Settings) -> tuple[bool, str]:
    """(whether all is well, in words). What control does not tell is not well."""
    kept = settings.state_dir / _KEY_FILE
    key = settings.api_key or (kept.read_text().strip() if kept.exists() else None)
    try:
        with plaza.Client("", settings.control_address, key, timeout=5) as hub:
            found = hub.status().mlflow
    except plaza.PlazaError as error:
        return False, f"control does not say: {error.code}"
    if not found.get("waiting"):
        return True, "MLflow knows everything"
    since = time.time() - (found.get("since_unix_us") or 0) / 1e6
    why = "; ".join(filter(None, [found.get("problem"), *found.get("stuck", {}).values()]))
    told = f"{found['waiting']} changes wait for MLflow, the oldest for {since:.0f} s"
    return since < _LATE_S and not why, told + (f": {why}" if why else "")
