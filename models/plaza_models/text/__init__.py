"""Families that read short texts. They share one way to turn text into hashed n-grams."""
