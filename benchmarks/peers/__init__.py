"""Other servers in front of the same models on the same machine: what `make bench` compares."""
