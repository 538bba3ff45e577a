"""An admin hands out compute: keys, budgets, shares, alerts, a public model, reports, proofs."""

# %% [markdown]
# # An admin hands out compute
#
# With the operator's key, which the first `plaza up` left in `.plaza/admin.key`:
#
#     export PLAZA_API_KEY=$(cat .plaza/admin.key)
#     export PLAZA_URL=… PLAZA_CONTROL_URL=…  # left out: a hub on this machine
#
# Every cell can be run again: what is there already is found, not made twice.

# %%
from datetime import UTC, datetime
from pathlib import Path

import plaza

ORGANISATION, PROJECT = "example-harbour", "berths"
HOUR = 3600 * 1_000_000  # compute units: µs of a CPU; other devices weigh more
hub = plaza.Client()
me = hub.whoami()
print(f"{me.organisation_name}, {'operator' if me.operator else me.role}")

# %% [markdown]
# ## Who is here
#
# An organisation, its projects, and keys with a role at one of them. A key is shown once: give it
# to its owner and keep its id. This cell ends keys that it made before.

# %%
if ORGANISATION not in {organisation.name for organisation in hub.orgs.list()}:
    hub.orgs.create(ORGANISATION, title="Harbour authority (example)")
if PROJECT not in {project.name for project in hub.projects.list(ORGANISATION)}:
    hub.projects.create(ORGANISATION, PROJECT)
for old in hub.keys.list(ORGANISATION):
    if old.label.startswith("example ") and old.revoked_unix_us is None:
        hub.keys.revoke(ORGANISATION, old.id)
admin_key = hub.keys.create(ORGANISATION, role="admin", label="example admin")
engineer_key = hub.keys.create(
    ORGANISATION, role="engineer", project=PROJECT, label="example engineer", rate=(50, 100)
)
for key in hub.keys.list(ORGANISATION):
    if key.revoked_unix_us is None:
        print(f"{key.label}: {key.role} of {key.project_name or 'the organisation'}")

# %% [markdown]
# ## Budgets
#
# Per day, week, month (UTC) or in total, on every node of the tree; the tightest one counts.
# Whatever runs at the same time, nobody spends more.

# %%
hub.quotas.set(ORGANISATION, 200 * HOUR, period="month")
hub.quotas.set(ORGANISATION, 50 * HOUR, period="month", project=PROJECT)
hub.quotas.set(ORGANISATION, 2 * HOUR, period="day", key=engineer_key.id)
hub.quotas.lower_limit(ORGANISATION, 20 * HOUR, project=PROJECT)
hub.quotas.raise_limit(ORGANISATION, 10 * HOUR, project=PROJECT)
for budget in hub.quotas.list(ORGANISATION):
    if budget.limit is not None and budget.kind != "key":
        name = budget.project_name or budget.organisation_name
        print(f"{name}: {budget.limit / HOUR:g} h per {budget.period}, used {budget.settled} units")

# %% [markdown]
# ## Who comes first
#
# Weights divide the workers while all compete. What others leave idle is lent: here up to twice
# one's own part. And at most 20 requests of this organisation are inside at once, over all
# replicas.

# %%
share = hub.shares.set(ORGANISATION, 4, borrow_percent=200)
print(f"weight {share.weight}, may borrow {share.borrow_percent} % of its part")
hub.quotas.limit_concurrency(ORGANISATION, 20)
held = hub.quotas.set_holding(ORGANISATION, "models", 50)
print(f"models: {held.used} of at most {held.limit}")

# %% [markdown]
# ## Alerts
#
# Signed messages at 50, 80 and 100 % of a budget, and when the gate stops a rollout. They only go
# to hosts that operators allow. Rather than two for one URL, this keeps what is there.

# %%
URL = "https://hooks.example.org/plaza"
hub.alerts.allow_host("hooks.example.org")
if URL not in {target.url for target in hub.alerts.list(ORGANISATION)}:
    new = hub.alerts.add(ORGANISATION, URL, events=["budget.80", "rollout.stopped"])
    print(f"a target; its secret begins with {new.secret[:6]} and is shown once")
for target in hub.alerts.list(ORGANISATION):
    print(f"{target.url}: {', '.join(target.events)}, {'on' if target.active else 'off'}")

# %% [markdown]
# ## A model for everybody
#
# The organisation's admin asks, you decide. The model here is one that is shipped with the hub,
# under another name; before a second run it is taken back into its organisation.

# %%
NAME = "example-load"
SHIPPED = Path(__file__).parents[1] / "models" / "bundles" / "electricity-load-quantiles"
with plaza.Client(api_key=admin_key.key) as theirs:
    theirs.models.register(SHIPPED, name=NAME, project="main")
    theirs.models.set_visibility(f"main.{NAME}", "organisation")
    theirs.models.publish(f"main.{NAME}", note="useful beyond the harbour")
for request in hub.catalogue.requests():
    if request.model == f"{ORGANISATION}.main.{NAME}":
        print(f"{request.model} asks: {request.note}")
        print(f"{hub.catalogue.approve(request.id).state}")
print("public:", [m.full_name for m in hub.models.search(NAME, visibility="public").items])

# %% [markdown]
# ## Reports
#
# Sums from the ledger, and a month's statement for the books.

# %%
for row in hub.usage(by="organisation")[:5]:
    name = row.labels.get("organisation", "?")
    print(f"{name}: {row.answered} answers, {row.charge / 1e6:.3f} s of compute")
month = datetime.now(UTC).strftime("%Y-%m")
statement = hub.ledger.statement(ORGANISATION, month, format="csv").decode()
print(f"statement of {month}: {len(statement.splitlines())} lines")

# %% [markdown]
# ## Who did what
#
# Each administrative change is a link of a chain; so is the usage. A change after the fact is
# found.

# %%
for entry in hub.audit(organisation=ORGANISATION, limit=4):
    print(f"{entry.action} {entry.target}")
for what, chains in {
    "audit": hub.ledger.verify_audit(organisation=ORGANISATION),
    "usage": hub.ledger.verify(organisation=ORGANISATION),
}.items():
    links, intact = sum(chain.links for chain in chains), all(chain.intact for chain in chains)
    print(f"{what}: {links} links, {'intact' if intact else 'BROKEN'}")

# %%
hub.models.set_visibility(f"{ORGANISATION}.main.{NAME}", "organisation", organisation=ORGANISATION)
hub.close()
