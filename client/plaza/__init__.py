"""The SDK: `plaza.Client`, sync and async. Needs httpx and numpy, none of the rooms.

    with plaza.Client(api_key="plz_…") as hub:
        found = hub.detect(Path("road.jpg").read_bytes(), model="road-detector")
        y = hub.infer("mnist", {"image": pixels})["scores"]

Raw tensors travel over the Open Inference Protocol v2 in binary; tasks over `/v1`; `models`,
`orgs`, `projects`, `keys`, `ledger`, `usage`, `audit` and `status` are control's admin API.
"""

from plaza._async import AsyncClient
from plaza._ledger import Chain, Correction, Drift, Dropped
from plaza._sync import Client
from plaza.answers import (
    Classification,
    Detection,
    Detections,
    Embeddings,
    Forecast,
    Inference,
    Label,
    Metadata,
    Tensor,
    Timing,
)
from plaza.errors import PlazaError, Unreachable
from plaza.records import (
    AuditEntry,
    Key,
    Model,
    NewKey,
    Organisation,
    Project,
    Promotion,
    Registered,
    Status,
    Usage,
    Version,
    WhoAmI,
)

__all__ = [
    "AsyncClient",
    "AuditEntry",
    "Chain",
    "Classification",
    "Client",
    "Correction",
    "Detection",
    "Detections",
    "Drift",
    "Dropped",
    "Embeddings",
    "Forecast",
    "Inference",
    "Key",
    "Label",
    "Metadata",
    "Model",
    "NewKey",
    "Organisation",
    "PlazaError",
    "Project",
    "Promotion",
    "Registered",
    "Status",
    "Tensor",
    "Timing",
    "Unreachable",
    "Usage",
    "Version",
    "WhoAmI",
]
