"""Recipes of the family `forecast.quantile`."""
