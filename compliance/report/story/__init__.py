"""The report as plain data: what is said, in which order, and which entry says it."""
