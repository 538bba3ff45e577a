"""`python -m plaza_serving.cli`: the command line where no `plaza` script is on the path."""

from plaza_serving.cli.main import main

main()
