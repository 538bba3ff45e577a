"""The command line, a client of control's API.

Except `up`, `down` and `doctor`, which belong to the supervisor, every command is a verb of the SDK
and a table. Starting it loads none of the hub's heavy libraries.
"""
