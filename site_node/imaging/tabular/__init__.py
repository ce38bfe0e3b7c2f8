"""Clinical variables: from a table to a curated dataset."""
