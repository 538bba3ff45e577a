"""The built-in providers, and the two ways in which the code of one comes: wheel and library."""
