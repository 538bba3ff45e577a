"""What organisations and projects hold, by number: the kinds that counts and storage limit."""

from __future__ import annotations

from enum import StrEnum


class Held(StrEnum):
    """`bytes` are those of the bundles of all versions; a file in two versions counts twice.
    `index-bytes` are those of search indexes, whose documents are `documents`."""

    PROJECTS = "projects"
    KEYS = "keys"
    MEMBERS = "members"
    MODELS = "models"
    VERSIONS = "versions"
    BYTES = "bytes"
    INDEXES = "indexes"
    DOCUMENTS = "documents"
    INDEX_BYTES = "index-bytes"
