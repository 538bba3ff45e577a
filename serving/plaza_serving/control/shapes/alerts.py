"""Bodies of the routes about alerts."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from plaza_core.webhooks import BUDGET_EVENTS, Event
from plaza_serving.control.shapes.base import Answer, Taken
from plaza_tenancy.views_webhooks import NewSecret, Webhook


class NewWebhook(Taken):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"url": "https://hooks.example.org/plaza", "events": ["budget.80"]}]
        }
    )

    url: str = Field(max_length=2000, description="https, on a host that operators allow.")
    events: list[Event] = Field(list(BUDGET_EVENTS), min_length=1, max_length=8)
    label: str = Field("", max_length=200)


class NewWebhookAnswer(Answer):
    """`secret` is shown here and never again. Check signatures with any Standard Webhooks
    library."""

    webhook: Webhook
    secret: str

    @classmethod
    def of(cls, made: NewSecret) -> NewWebhookAnswer:
        return cls(webhook=made.webhook, secret=made.secret)


class Removed(Answer):
    removed: str


class AllowedHost(Taken):
    model_config = ConfigDict(json_schema_extra={"examples": [{"pattern": "*.example.org"}]})

    pattern: str = Field(
        max_length=260, description="`host`, `*.host`, with `:PORT` or `:*`; without a port 443."
    )
    private: bool = Field(
        False, description="The host may be an address inside, such as 10.0.0.7 or this machine."
    )
