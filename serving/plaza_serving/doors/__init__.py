"""Doors: translate a protocol into calls on the plane and back. Only doors know status numbers."""
