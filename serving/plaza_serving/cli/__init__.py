"""The command line, a client of control's API."""
