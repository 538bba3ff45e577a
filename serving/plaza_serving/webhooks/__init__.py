"""Outgoing webhooks: `signing` (Standard Webhooks), `sending` (one attempt, never to an address
inside), `courier` (the job that delivers what waits)."""
