"""Runs inside `ray start`, before it starts anything: leaves out what Plaza does not use.

Named by `RAY_START_HOOK`, Ray's own hook for changing the parameters of a node. Without the Ray
Client server and the dashboard's job, state, log and other modules a head has no API left by which
a token holder could submit code over HTTP, and it starts with two CPU seconds less. Of the
dashboard only the declarative Serve API stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray._private import ray_constants, services
from ray._private.parameter import RayParams

DASHBOARD_MODULES = ("ServeHead", "UsageStatsHead")
"""UsageStatsHead answers `/api/ray/version`-like probes and sends nothing while usage is off."""


def lean(parameters: RayParams, head: bool) -> None:
    """Change `parameters` of the node about to start."""
    parameters.ray_client_server_port = None
    if not head:
        return
    start = services.start_ray_process

    def start_fewer(command: Sequence[str], process_type: str, *args: Any, **options: Any) -> Any:
        if process_type == ray_constants.PROCESS_TYPE_DASHBOARD:
            command = [*command, f"--modules-to-load={','.join(DASHBOARD_MODULES)}"]
        return start(command, process_type, *args, **options)

    services.start_ray_process = start_fewer
