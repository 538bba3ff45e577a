"""Which modules are compiled: what every request passes through, and nothing else.

Together, for they know one another's classes. Left out is what defines structures of msgspec, which
are C already and whose options mypyc does not pass on (`dataplane.bills`, `dataplane.jobs`), and
what is at rest while requests are answered.
"""

from __future__ import annotations

_DATAPLANE = (
    "access", "admission", "batch", "budgets", "calibration", "catalogue", "compute", "counting",
    "fair", "flows", "hosted", "joining", "lane", "plane", "prices", "purses", "rates",
    "reservations", "reserves", "runtime", "settling", "slots", "usage", "waits", "work", "workers",
)  # fmt: skip
_DOORS = (
    "asking", "body", "exchange", "http", "inferring", "oip", "routes", "sticky", "tensors_json",
)  # fmt: skip

MODULES = (
    *(f"plaza_serving.dataplane.{name}" for name in _DATAPLANE),
    *(f"plaza_serving.doors.{name}" for name in _DOORS),
)
