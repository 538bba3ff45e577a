"""Dynamic int8 quantisation of a bundle's model, and what it costs in accuracy.

    bundle ──child──▶ smaller model.onnx ──child──▶ both opened, the same inputs, compared, timed

Both children are sandboxed as the examination is. Whoever asks decides what is good enough.
"""
