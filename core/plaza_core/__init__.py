"""Floor 0: the words every room shares.

Nothing here imports another room, opens a socket or reads a file outside `settings`.
Heavy libraries stay out: the standard library, numpy and pydantic suffice.
"""
