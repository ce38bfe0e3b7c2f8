"""The site's own small database."""
