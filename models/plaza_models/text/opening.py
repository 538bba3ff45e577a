"""Which of the three kinds of text model a bundle is, by its options, and its graph opened.

pooling      marked pieces, attention       EncoderGraph
tokenizer    pieces of a vocabulary         TextGraph over TokenReader
neither      hashed n-grams                 TextGraph over NgramReader
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from plaza_core.manifest import Manifest
from plaza_models.options import read_options
from plaza_models.text.encoder import EncoderGraph, EncoderOptions
from plaza_models.text.graph import Graph, TextGraph
from plaza_models.text.ngrams import NgramOptions, NgramReader
from plaza_models.text.tokens import TokenOptions, TokenReader

E = TypeVar("E", bound=EncoderOptions)
P = TypeVar("P", bound=TokenOptions)
N = TypeVar("N", bound=NgramOptions)


def options_of(manifest: Manifest, encoder: type[E], pieces: type[P], ngrams: type[N]) -> E | P | N:
    """As the family's class of that kind reads them. Raises InvalidBundle naming the option."""
    if "pooling" in manifest.options:
        return read_options(encoder, manifest.options)
    if "tokenizer" in manifest.options:
        return read_options(pieces, manifest.options)
    return read_options(ngrams, manifest.options)


def open_graph(directory: Path, manifest: Manifest, options: TokenOptions | NgramOptions) -> Graph:
    """Raises InvalidBundle when options, tokeniser and graph disagree."""
    if isinstance(options, EncoderOptions):
        reader = TokenReader.open(directory, options, marks=True)
        return EncoderGraph.of(manifest, reader, options)
    if isinstance(options, TokenOptions):
        return TextGraph.of(manifest, TokenReader.open(directory, options))
    return TextGraph.of(manifest, NgramReader(options))
