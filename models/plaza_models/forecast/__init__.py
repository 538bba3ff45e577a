"""Families that continue a series, and the picture of such an answer."""
