"""The models that the clients find in the hub, and the pool that one of them lives in.

Of each family a shipped one as it is, but a forecaster of four values, as the examples of our
OpenAPI document have; what Triton's own example programs call; one for each datatype; and one that
the main pool must not run.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx

from benchmarks import graphs
from benchmarks.hub import Hub
from benchmarks.shipped import BUNDLES, REGISTERED
from benchmarks.waiting import until_ok
from plaza_core.tensors import DType

ROOT = Path(__file__).parents[2]
ELSEWHERE = "elsewhere"
"""What `tiny` is, but the second pool alone may run it."""
_POOL = "openvino"
_AT_ONCE = 2
_OPEN_S = 60.0


def pools() -> list[dict[str, str]]:
    """The second pool, of another accelerator; none where its environment was not made."""
    made = Path(os.environ.get("PLAZA_OPENVINO", ROOT / ".venv-openvino"))
    python = made / "bin" / "python"
    return [{"name": _POOL, "provider": _POOL, "environment": str(python)}] * python.exists()


def register(hub: Hub, scratch: Path) -> None:
    """All of them, public; returns when the second pool answers."""
    plain = {
        "tiny": graphs.tiny(),
        "simple": graphs.sum_and_difference(),
        "forecaster": graphs.naive_forecast(),
        **{f"identity-{datatype.lower()}": graphs.identity(datatype) for datatype in DType},
    }
    bundles = [*REGISTERED, BUNDLES / "picture-quality"]
    bundles += [_written(graph, scratch / name) for name, graph in plain.items()]
    if pools():
        bundles.append(_written(graphs.tiny(), scratch / ELSEWHERE, _POOL))
    with ThreadPoolExecutor(_AT_ONCE) as several:
        list(several.map(partial(hub.admin.models.register, visibility="public"), bundles))
    if pools():
        ready = f"{hub.url}/v2/models/{ELSEWHERE}/ready"
        key = {"authorization": f"Bearer {hub.admin_key}"}
        until_ok(lambda: httpx.get(ready, headers=key), _OPEN_S)


def _written(graph: graphs.Graph, place: Path, provider: str = "cpu") -> Path:
    graph.manifest.update(name=place.name, providers=[provider])
    return graph.write(place)
