"""The usage line of one request: who, what, where, how it ended, what it cost."""

from __future__ import annotations

from plaza_core.ids import ReplicaId
from plaza_core.inference import UsageRecord
from plaza_serving.dataplane.bills import FREE, Bill
from plaza_serving.dataplane.work import Work


def usage_of(work: Work, outcome: str, bill: Bill, replica: ReplicaId, now_ns: int) -> UsageRecord:
    """`outcome` is `ok` or an error code; `now_ns` ends its latency (monotonic)."""
    held, bill = work.reservation, bill if work.lost is FREE else bill.after(work.lost)
    return UsageRecord(
        organisation=work.principal.organisation,
        project=work.principal.project,
        key=work.principal.key,
        request_id=work.call.request_id,
        model=work.target.model.id,
        version=work.target.version.version,
        digest=work.target.version.digest,
        provider=work.provider,
        rows=bill.rows,
        compute_us=bill.compute_us,
        host_us=bill.host_us,
        latency_us=(now_ns - work.admitted_ns) // 1000,
        outcome=outcome,
        at_unix_us=work.admitted_unix_us,
        replica=replica,
        charge=bill.charge,
        overrun=bill.overrun,
        lease=None if held is None else held.lease,
    )
