"""`python -m plaza_training`."""

from plaza_training.cli import main

main()
