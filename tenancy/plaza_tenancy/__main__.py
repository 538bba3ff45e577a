"""`python -m plaza_tenancy`: bring the database to this version, before control starts.

For installations whose control process shall not know the owner's password: run this with
PLAZA_DATABASE_OWNER_URL beside the usual settings, then start control without it.
"""

from __future__ import annotations

import os
import sys

from plaza_core.clock import SystemClock
from plaza_core.errors import Unavailable
from plaza_core.settings import Settings
from plaza_tenancy.store import Store


def main() -> int:
    settings = Settings()
    try:
        store = Store(
            settings.database,
            owner_url=settings.database_owner_url,
            clock=SystemClock(),
            random=os.urandom,
        )
    except Unavailable as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
