"""The supervisor: starts, watches, restarts and reaps the processes of one node."""
