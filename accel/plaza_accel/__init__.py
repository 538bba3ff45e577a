"""Floor 1: providers and sessions. The only room that imports onnxruntime."""
