"""From a curated dataset to an update."""
