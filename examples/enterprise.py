"""An enterprise calls shared models: finds one, calls it, pays, waits, stays in its budget."""

# %% [markdown]
# # An enterprise calls shared models
#
# You have a key of your organisation with the role `admin`, in the environment:
#
#     export PLAZA_API_KEY=plz_…
#     export PLAZA_URL=https://models.example.org             # left out: a hub on this machine
#     export PLAZA_CONTROL_URL=https://admin.example.org
#
# Run the cells one by one in an editor that knows `# %%`, or all of them: `python enterprise.py`.

# %%
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

import plaza

T = TypeVar("T")
hub = plaza.Client()
me = hub.whoami()
ORGANISATION = me.organisation_name
print(f"{ORGANISATION}, as {me.role}")

# %% [markdown]
# ## Find a model
#
# The catalogue shows what this key may call: your own models, those shared with you, and public
# ones.

# %%
page = hub.models.search(family="forecast.quantile", visibility="public")
for found in page.items:
    print(f"{found.full_name}  version {found.version}  {found.summary[:60]}")
SPEED = next(m.full_name for m in page.items if m.name == "traffic-speed-quantiles")

# %% [markdown]
# ## A key for one job
#
# Each job gets a key of its own. This one may send 50 requests per second, 5 at once, so that the
# job cannot take the place of your other work. Its text is told once. It ends by itself after an
# hour.

# %%
made = hub.keys.create(
    ORGANISATION, role="consumer", label="nightly forecast", rate=(50, 5), expires_in_s=3600
)
job = plaza.Client(api_key=made.key)


def patiently(call: Callable[[], T], tries: int = 30) -> T:
    """Call again while the hub says when. An unknown key is a new one that replicas learn of within
    a second; a used-up budget does not come back by waiting, so it is for the caller to decide."""
    for _ in range(tries):
        try:
            return call()
        except plaza.PlazaError as error:
            if error.code not in {"rate_limited", "overloaded", "unavailable", "unauthenticated"}:
                raise
            time.sleep(error.retry_after or 0.2)
    return call()


# %% [markdown]
# ## Call it through its task
#
# Give the series as it is measured, get quantiles of what comes next.

# %%
morning = 55 + 8 * np.sin(np.arange(288) / 40)
ahead = patiently(lambda: job.forecast(morning.tolist(), horizon=12, model=SPEED))
median = ahead.values[ahead.quantiles.index(0.5)]
print(f"speed in an hour: {median[-1]:.1f} mph, by version {ahead.version}")

# %% [markdown]
# ## Or through tensors
#
# The same model by the Open Inference Protocol. Its metadata say what it takes; -1 is a free axis.

# %%
about = patiently(lambda: job.metadata(SPEED))
for tensor in about.inputs + about.outputs:
    print(f"{tensor.name}: {tensor.datatype} {list(tensor.shape)}")
series = morning.astype(np.float32)[np.newaxis]
answer = patiently(lambda: job.infer(SPEED, {about.inputs[0].name: series}))
quantiles = answer[about.outputs[0].name]
print(f"{quantiles.shape[1]} quantiles for each of {quantiles.shape[2]} steps")

# %% [markdown]
# ## What it cost
#
# Each answer tells in its headers (`x-plaza-charge` …) what it used and what is left of the budget.

# %%
cost = answer.cost
print(f"charged {cost.charge} units: {cost.compute_us} µs of device, {cost.host_us} µs of host")

# %% [markdown]
# ## Too fast: 429 `rate_limited`
#
# The error says when to try again. `patiently` above waits for just so long.


# %%
def hurried(_: int) -> float:
    """Seconds after which to try again; 0: answered."""
    try:
        job.infer(SPEED, {about.inputs[0].name: series})
    except plaza.PlazaError as error:
        if error.code != "rate_limited":
            raise
        return error.retry_after or 1
    return 0


with ThreadPoolExecutor(20) as threads:
    waits = [wait for wait in threads.map(hurried, range(40)) if wait]
print(f"{len(waits)} of 40 at once were too fast: again in {max(waits, default=0):g} s")

# %% [markdown]
# ## How many more?
#
# The job gets a budget, 5 ms of a CPU a day, and asks before it begins. The estimate is by what
# its requests cost lately, as the ledger tells a second later; it can also be asked about figures
# that you have (`device_us=…`).

# %%
while not any(row.answered and row.group["key"] == made.id for row in hub.usage(by="key")):
    time.sleep(0.2)
hub.quotas.set(ORGANISATION, 5_000, period="day", key=made.id)
estimate = hub.quotas.estimate(ORGANISATION, SPEED, key=made.id)
print(f"{estimate.requests} more requests at {estimate.cost} units each")

# %% [markdown]
# ## Used up: 429 `quota_exceeded`
#
# Nothing is charged for a refusal. (The rate is lifted first, so that the budget decides.) Your
# admin raises the limit, and the job goes on: a replica asks again after a tenth of a second.

# %%
hub.quotas.set_rate(ORGANISATION, None, key=made.id)
done = 0
try:
    while done < 1000:
        patiently(lambda: job.infer(SPEED, {about.inputs[0].name: series}))
        done += 1
except plaza.PlazaError as error:
    print(f"after {done} more: {error.code}, the tightest budget is the {error.input}'s")
hub.quotas.raise_limit(ORGANISATION, 1_000_000, key=made.id)
time.sleep(0.2)
last = patiently(lambda: job.infer(SPEED, {about.inputs[0].name: series}))
print(f"raised; {last.cost.budget_remaining} units are left")

# %% [markdown]
# ## What it came to
#
# Usage is in the ledger within a second or two.

# %%
for _ in range(50):
    booked = hub.usage(by=["key", "model"])
    mine = [row for row in booked if row.group["key"] == made.id]
    if sum(row.answered for row in mine) >= done:
        break
    time.sleep(0.2)
for row in mine:
    print(f"{row.labels.get('model', '?')}: {row.answered} answers, {row.charge} units")

# %%
hub.keys.revoke(ORGANISATION, made.id)
job.close()
hub.close()
