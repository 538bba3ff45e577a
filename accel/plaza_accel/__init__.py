"""Floor 1: providers and sessions. The only room that imports onnxruntime.

Official builds of ONNX Runtime (1.29 and later, Linux included) report usage to their maker from
the moment of import: an identifier on disk, a thread, and HTTPS uploads. The switch is read once,
at import, so it is thrown here, where every import of this room passes first.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
