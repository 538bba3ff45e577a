"""Idempotency-Key for both doors: `sealing` (what was asked and answered) and `keeper` (once).

The record is in control's database: control reaches it in `control.idempotency`, replicas over the
internal API in `dataplane.claims`.
"""
