"""One request on its way through a run: fitted to sizes, prepared, and what the run was to it.

Structures of msgspec, made in C: such modules are not compiled (`plaza_serving.native`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from plaza_core.running import Prepared
from plaza_core.tensors import Array
from plaza_serving.dataplane.bills import Ran
from plaza_serving.dataplane.work import Work

Tensors = dict[str, Array]
Shape = tuple[Any, ...]
"""How a request is run, but for its rows: requests of one shape may be joined. Sizes of the
variable axes where the bundle declares any, else of all inputs."""


class Fitted(msgspec.Struct, eq=False):
    """One request's tensors and the sizes that they are run at."""

    tensors: Tensors
    rows: int
    shape: Shape
    own: tuple[int, ...] = ()
    """Where sizes are declared: what its variable axes are, as `shape` is what they are run at."""


class Job(msgspec.Struct, eq=False):
    """One request between prepare and interpret; times in nanoseconds."""

    work: Work
    prepared: Prepared
    fitted: Fitted
    started_ns: int
    prepare_ns: int
    host_cpu_ns: int
    lost_us: int = 0
    """Device time of a joined run that failed; nobody is charged for it."""


class Run(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One run as one of its requests sees it."""

    device_us: int
    """This request's share of the device's time."""
    run_us: int
    ran: Ran
