"""`python -m plaza_serving.control`: how the supervisor starts the control process."""

import gc

gc.disable()  # what is imported stays; looking through it for garbage is a sixth of the start

from plaza_serving.control.main import main  # noqa: E402 see above

gc.freeze()
gc.enable()
raise SystemExit(main())
