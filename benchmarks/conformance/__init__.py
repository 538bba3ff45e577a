"""Unmodified clients of other people against a running hub: `make conformance`."""
