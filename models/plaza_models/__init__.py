"""Floor 1: what a model means. Families of pre- and post-processing; no torch, no onnxruntime."""
