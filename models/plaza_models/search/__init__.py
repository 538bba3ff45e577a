"""Search over documents: BM25 and vectors, fused. Pure: bytes and arrays in, ranks out."""
