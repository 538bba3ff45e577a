"""What can be wrong with the files of a set. The codes are stable; no door answers with them."""

from __future__ import annotations

from plaza_core.errors import InvalidInput, NotFound, Unavailable


class UnknownData(NotFound):
    """No set of this name is registered."""

    code = "data_unknown"


class DataMissing(NotFound):
    """A file is not in the data directory and is published nowhere in this form."""

    code = "data_missing"


class DataChanged(InvalidInput):
    """A file is not byte for byte the published one."""

    code = "data_changed"


class DataUnreachable(Unavailable):
    """A missing file could not be downloaded; what had arrived is kept for the next attempt."""

    code = "data_unreachable"
