"""Floor 2: data, training, export, parity and publishing. The only room that imports torch."""
