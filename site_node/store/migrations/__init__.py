"""Moves of the site's database from one revision to the next; run by `site_node.store.schema`."""
