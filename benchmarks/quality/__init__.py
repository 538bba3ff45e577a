"""`make quality`: every figure of the shipped models, asked of a running hub; `docs/quality.md`."""
