"""SQL is written here and nowhere else in the hub."""
