"""Families that read texts: by hashed n-grams, by pieces of a vocabulary, or with attention."""
