"""Starter models: their weights, their recipes and the code that knows their families."""
