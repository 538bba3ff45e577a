"""Recipes of the text families."""
