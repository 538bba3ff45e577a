"""`python -m plaza_serving.control`: how the supervisor starts the control process."""

from plaza_serving.control.main import main

raise SystemExit(main())
