"""Aggregation rules as values: init and apply."""
