"""`python -m plaza_training.data`."""

from plaza_training.data.commands import main

main()
