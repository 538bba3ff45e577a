"""The description of the admin API, as `contracts/openapi-admin.json` keeps it.

python -m plaza_serving.control.openapi > contracts/openapi-admin.json
"""

from __future__ import annotations

import json
import sys

from plaza_serving.control.app import routed


def document() -> str:
    return json.dumps(routed().openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
