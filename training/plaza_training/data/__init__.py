"""Public data sets: what they are, where their files come from, and whether those are the published
ones. Data never lives in the repository; a caller names a directory for it (`PLAZA_DATA`)."""

from plaza_training.data.dataset import DataSet, SourceFile, Split, Table
from plaza_training.data.fetching import Download, Fetcher
from plaza_training.data.locating import locate, sha256_of

__all__ = ["DataSet", "Download", "Fetcher", "SourceFile", "Split", "Table", "locate", "sha256_of"]
