"""Indexes of documents as control serves them: put, delete, search."""
