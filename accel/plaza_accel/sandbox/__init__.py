"""How a process gives up what it will not need, and how a child trusted with nothing is started."""
