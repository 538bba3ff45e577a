"""The SDK: `plaza.Client`, sync and async. Needs httpx and numpy, none of the rooms.

    with plaza.Client(api_key="plz_…") as hub:
        found = hub.detect(Path("road.jpg").read_bytes(), model="road-detector")
        y = hub.infer("mnist", {"image": pixels})["scores"]

Raw tensors travel over the Open Inference Protocol v2 in binary; tasks over `/v1`; `models`,
`rollouts`, `catalogue`, `proposals`, `orgs`, `projects`, `keys`, `members`, `quotas`, `prices`,
`shares`, `indexes`, `ledger`, `alerts`, `usage`, `audit` and `status` are control's admin API.
"""

from plaza._alerts import AlertDelivery, AlertHost, AlertTarget, NewAlertTarget
from plaza._async import AsyncClient
from plaza._cards import Card
from plaza._certificates import Certificate
from plaza._indexes import Document, DocumentPage, DocumentsPut, Hit, Hits, SearchIndex
from plaza._ledger import Chain, Correction, Drift, Dropped
from plaza._series import (
    Anomalies,
    LevelAnswer,
    ScoredSeries,
    Table,
    TableForm,
    Warned,
    WarnedSeries,
    WarningLevel,
)
from plaza._sync import Client
from plaza._tracking import Accepted, Proposal
from plaza._vision import Counts
from plaza.answers import (
    Classification,
    Cost,
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
    Member,
    Model,
    NewKey,
    NewLogin,
    Organisation,
    Project,
    Promotion,
    Registered,
    Status,
    Usage,
    Version,
    WhoAmI,
)
from plaza.records_models import (
    AliasStep,
    Collected,
    Found,
    FoundPage,
    Guest,
    ModelDiff,
    PublicationState,
    PublishRequest,
    Rollout,
)
from plaza.records_quotas import (
    Budget,
    BudgetLease,
    Estimate,
    Holding,
    NodeLimits,
    Price,
    Share,
)

__all__ = [
    "Accepted",
    "AlertDelivery",
    "AlertHost",
    "AlertTarget",
    "AliasStep",
    "Anomalies",
    "AsyncClient",
    "AuditEntry",
    "Budget",
    "BudgetLease",
    "Card",
    "Certificate",
    "Chain",
    "Classification",
    "Client",
    "Collected",
    "Correction",
    "Cost",
    "Counts",
    "Detection",
    "Detections",
    "Document",
    "DocumentPage",
    "DocumentsPut",
    "Drift",
    "Dropped",
    "Embeddings",
    "Estimate",
    "Forecast",
    "Found",
    "FoundPage",
    "Guest",
    "Hit",
    "Hits",
    "Holding",
    "Inference",
    "Key",
    "Label",
    "LevelAnswer",
    "Member",
    "Metadata",
    "Model",
    "ModelDiff",
    "NewAlertTarget",
    "NewKey",
    "NewLogin",
    "NodeLimits",
    "Organisation",
    "PlazaError",
    "Price",
    "Project",
    "Promotion",
    "Proposal",
    "PublicationState",
    "PublishRequest",
    "Registered",
    "Rollout",
    "ScoredSeries",
    "SearchIndex",
    "Share",
    "Status",
    "Table",
    "TableForm",
    "Tensor",
    "Timing",
    "Unreachable",
    "Usage",
    "Version",
    "Warned",
    "WarnedSeries",
    "WarningLevel",
    "WhoAmI",
]
