"""One opened model and what all of them share: knobs, memory, shapes; ONNX Runtime as it is."""
