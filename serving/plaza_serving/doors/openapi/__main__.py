"""`python -m plaza_serving.doors.openapi`: the document as it stands in `contracts/`."""

import sys

from plaza_serving.doors.openapi import text

if __name__ == "__main__":
    sys.stdout.write(text())
