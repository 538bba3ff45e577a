"""`plaza.Client`: the verbs over a blocking connection."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar

import httpx

from plaza import (
    _admin,
    _alerts,
    _cards,
    _certificates,
    _indexes,
    _inference,
    _ledger,
    _limits,
    _models,
    _only,
    _people,
    _quotas,
    _series,
    _tracking,
    _vision,
)
from plaza._again import Pace
from plaza._http import Call, FileBody, Steps
from plaza._transport import (
    CHUNK,
    Hub,
    arriving,
    as_method,
    file_headers,
    finish,
    read_chunks,
    unreachable,
)
from plaza.errors import PlazaError

P = ParamSpec("P")
T = TypeVar("T")

PACE = Pace(time.monotonic, time.sleep, random.random)


class _Sends(Protocol):
    def _send(self, call: Call[T]) -> T: ...


def _verb(build: Callable[P, Call[T]]) -> Callable[Concatenate[_Sends, P], T]:
    """A method that performs the call which `build` describes."""

    @wraps(build)
    def method(self: _Sends, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._send(build(*args, **kwargs))

    return as_method(method, build)


def _procedure(build: Callable[P, Steps[T]]) -> Callable[Concatenate[_Sends, P], T]:
    """A method that performs several calls, one after another."""

    @wraps(build)
    def method(self: _Sends, /, *args: P.args, **kwargs: P.kwargs) -> T:
        steps = build(*args, **kwargs)
        try:
            call = next(steps)
            while True:
                try:
                    result = self._send(call)
                except (PlazaError, OSError) as error:  # the steps clean up and raise it
                    call = steps.throw(error)
                else:
                    call = steps.send(result)
        except StopIteration as end:
            done: T = end.value
            return done

    return as_method(method, build)


class _Part:
    """A group of verbs; it sends through its client."""

    def __init__(self, client: _Sends) -> None:
        self._client = client

    def _send(self, call: Call[T]) -> T:
        return self._client._send(call)  # noqa: SLF001 the two are one object to the outside


class Models(_Part):
    """Models, their versions and aliases."""

    register = _procedure(_admin.register)
    list = _verb(_admin.list_models)
    show = _verb(_admin.show_model)
    versions = _verb(_admin.list_versions)
    cards = _verb(_cards.cards)
    set_card = _verb(_cards.set_card)
    certify = _verb(_certificates.certify)
    certificates = _verb(_certificates.certificates)
    promote = _verb(_models.promote)
    rollback = _verb(_models.rollback)
    remove_alias = _verb(_models.remove_alias)
    history = _verb(_models.history)
    stage = _verb(_models.stage)
    unstage = _verb(_models.unstage)
    retire = _verb(_models.retire)
    restore = _verb(_models.restore)
    withdraw = _verb(_models.withdraw)
    examine = _verb(_models.examine)
    diff = _verb(_models.diff)
    gc = _verb(_models.gc)
    search = _verb(_models.search)
    tag = _verb(_models.tag)
    set_visibility = _verb(_models.set_visibility)
    share = _verb(_models.share)
    unshare = _verb(_models.unshare)
    guests = _verb(_models.guests)
    publish = _verb(_models.publish)
    import_from_mlflow = _verb(_tracking.import_from_mlflow)


class Rollouts(_Part):
    """Versions on their way into traffic; they begin with `models.promote`."""

    list = _verb(_models.list_rollouts)
    show = _verb(_models.show_rollout)
    cancel = _verb(_models.cancel_rollout)
    promote = _verb(_models.promote_rollout)


class Catalogue(_Part):
    """Requests to make models public, which operators decide."""

    requests = _verb(_models.list_requests)
    approve = _verb(_models.approve)
    reject = _verb(_models.reject)


class Proposals(_Part):
    """Aliases that somebody moved in MLflow."""

    list = _verb(_tracking.list_proposals)
    accept = _verb(_tracking.accept_proposal)
    reject = _verb(_tracking.reject_proposal)


class Organisations(_Part):
    create = _verb(_admin.create_organisation)
    list = _verb(_admin.list_organisations)
    show = _verb(_admin.show_organisation)
    suspend = _verb(_admin.suspend_organisation)
    resume = _verb(_admin.resume_organisation)
    limit = _verb(_admin.limit_organisation)


class Projects(_Part):
    create = _verb(_admin.create_project)
    list = _verb(_admin.list_projects)


class Keys(_Part):
    create = _verb(_admin.create_key)
    list = _verb(_admin.list_keys)
    revoke = _verb(_admin.revoke_key)
    rotate = _verb(_people.rotate_key)
    set_expiry = _verb(_people.set_key_expiry)


class Members(_Part):
    """People with a role."""

    add = _verb(_people.add_member)
    list = _verb(_people.list_members)
    set_role = _verb(_people.set_member_role)
    remove = _verb(_people.remove_member)


class Ledger(_Part):
    """The books: what every bill is made from."""

    statement = _verb(_ledger.statement)
    save_statement = _verb(_ledger.save_statement)
    verify = _verb(_ledger.verify)
    verify_audit = _verb(_ledger.verify_audit)
    correct = _verb(_ledger.correct)
    drift = _verb(_ledger.drift)
    rebuild = _verb(_ledger.rebuild)
    drop_before = _verb(_ledger.drop_before)


class Alerts(_Part):
    """Who is told of budgets, by signed webhook; hosts are the operators' list."""

    list = _verb(_alerts.list_alerts)
    add = _verb(_alerts.add_alert)
    remove = _verb(_alerts.remove_alert)
    rotate = _verb(_alerts.rotate_alert)
    enable = _verb(_alerts.enable_alert)
    test = _verb(_alerts.test_alert)
    deliveries = _verb(_alerts.list_deliveries)
    hosts = _verb(_alerts.list_hosts)
    allow_host = _verb(_alerts.allow_host)
    disallow_host = _verb(_alerts.disallow_host)


class Indexes(_Part):
    """Search over documents, by meaning and words."""

    create = _verb(_indexes.create)
    list = _verb(_indexes.list_indexes)
    show = _verb(_indexes.show)
    drop = _verb(_indexes.drop)
    put = _procedure(_indexes.put)
    delete = _verb(_indexes.delete)
    documents = _verb(_indexes.documents)
    search = _verb(_indexes.search)


class Quotas(_Part):
    """Budgets, concurrency and priorities of organisations, projects and keys."""

    show = _verb(_quotas.show_budget)
    list = _verb(_quotas.list_budgets)
    set = _verb(_quotas.set_budget)
    raise_limit = _verb(_quotas.raise_budget)
    lower_limit = _verb(_quotas.lower_budget)
    remove = _verb(_quotas.remove_budget)
    estimate = _verb(_quotas.estimate)
    limit_concurrency = _verb(_quotas.limit_concurrency)
    set_priority = _verb(_quotas.set_priority)
    set_calendar = _verb(_limits.set_calendar)
    limits = _verb(_limits.list_limits)
    set_rate = _verb(_limits.set_rate)
    set_holding = _verb(_limits.set_holding)
    leases = _verb(_limits.list_leases)
    write_off = _verb(_limits.write_off)


class Prices(_Part):
    list = _verb(_quotas.list_prices)
    set = _verb(_quotas.set_price)
    remove = _verb(_quotas.remove_price)


class Shares(_Part):
    list = _verb(_quotas.list_shares)
    set = _verb(_quotas.set_share)


class Client:
    """A hub, over blocking calls. Thread-safe; close it, or use it in a `with` block.

    Every verb raises PlazaError: with the hub's code when it refuses, `Unreachable` without answer.
    """

    def __init__(
        self,
        url: str | None = None,
        control_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 60.0,
        patience_s: float | None = None,
        retry_writes: bool = False,
        transport: httpx.BaseTransport | None = None,
        pace: Pace[None] = PACE,
    ) -> None:
        """`url`, `control_url` and `api_key` default to `PLAZA_URL`, `PLAZA_CONTROL_URL` and
        `PLAZA_API_KEY`. `timeout` is in seconds, for each of connecting, sending and waiting.
        `transport` and `pace` replace the network and time, for tests.

        What the hub refuses for now (429 or 503 that say when to come back) is tried again for
        `patience_s` seconds in all, and what got lost with its connection once more; 0 switches
        both off. By default that is 30 s for reads and administration, which is done once, under
        an Idempotency-Key. An inference is refused at once and is sent again only when there was
        no connection: the key would cost the hub a record in its database for each. With
        `retry_writes` inferences carry one too, and are treated like the rest.
        """
        self._hub = Hub.at(url, control_url, api_key, patience_s, named=retry_writes)
        self._pace = pace
        self._http = httpx.Client(timeout=timeout, transport=transport)
        self._mount()

    def _mount(self) -> None:
        self.models = Models(self)
        self.rollouts = Rollouts(self)
        self.catalogue = Catalogue(self)
        self.proposals = Proposals(self)
        self.orgs = Organisations(self)
        self.projects = Projects(self)
        self.keys = Keys(self)
        self.ledger = Ledger(self)
        self.members = Members(self)
        self.alerts = Alerts(self)
        self.indexes = Indexes(self)
        self.quotas = Quotas(self)
        self.prices = Prices(self)
        self.shares = Shares(self)

    def once(self, key: str | None = None) -> Self:
        """This client, for one request that the hub does once however often it is sent:
        `hub.once(key).infer(…)`. A repetition within a day gets the first answer again.
        Without a key each request gets one of its own, which serves for its own tries.

        Shares the connection; close the client, not what this returns.
        """
        twin = copy.copy(self)
        twin._hub = self._hub.for_one(key)  # noqa: SLF001 a copy of itself
        twin._mount()  # noqa: SLF001 as above
        return twin

    infer = _verb(_inference.infer)
    metadata = _verb(_inference.metadata)
    only = _verb(_only.only)
    detect = _verb(_inference.detect)
    count = _verb(_vision.count)
    quality = _verb(_vision.quality)
    forecast = _verb(_inference.forecast)
    forecasts = _verb(_inference.forecasts)
    anomalies = _verb(_series.anomalies)
    warn = _verb(_series.warn)
    table = _verb(_series.table)
    classify = _verb(_inference.classify)
    embed = _verb(_inference.embed)

    whoami = _verb(_admin.whoami)
    finish_login = _verb(_people.finish_login)
    end_login = _verb(_people.end_login)
    usage = _verb(_admin.usage)
    audit = _verb(_admin.audit)
    status = _verb(_admin.status)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, call: Call[T]) -> T:
        arguments = self._hub.arguments(call)
        tries = self._hub.tries(call, arguments, self._pace)
        while True:
            try:
                return finish(call, self._exchange(arguments, call))
            except httpx.TransportError as error:
                wait = tries.after_loss(error)
                if wait is None:
                    raise unreachable(error) from error
            except PlazaError as error:
                wait = tries.after_refusal(error)
                if wait is None:
                    raise
            self._pace.sleep(wait)

    def _exchange(self, arguments: dict[str, Any], call: Call[Any]) -> httpx.Response:
        """One try; a file is read anew for each."""
        body, save = call.content, call.save
        if isinstance(body, FileBody):
            headers = arguments["headers"] | file_headers(body)
            arguments = arguments | {"headers": headers, "content": read_chunks(body)}
        else:
            arguments = arguments | {"content": body}
        if save is None:
            return self._http.request(**arguments)
        with self._http.stream(**arguments) as response:
            if response.is_success:
                with arriving(save) as file:
                    for chunk in response.iter_bytes(CHUNK):
                        file.write(chunk)
            else:
                response.read()
        return response
