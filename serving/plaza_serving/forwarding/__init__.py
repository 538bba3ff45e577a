"""Requests for models that live in another pool: passed on at most once, answered as they came."""
