"""The sets of sentences that shape the shipped models of text."""

from __future__ import annotations

from plaza_training.data.registry import SETS

BANKING77 = SETS["nlp-banking77"]
CLINC150 = SETS["nlp-clinc150"]
ENGLISH_PAIRS = SETS["nlp-sts-en"]
THUCNEWS = SETS["nlp-thucnews-titles"]
WORDNET = SETS["nlp-wordnet"]
