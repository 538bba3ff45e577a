"""Bodies of the admin API, a file per kind of route: what is taken, strictly, what is answered."""
