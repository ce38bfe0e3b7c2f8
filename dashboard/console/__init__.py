"""The pages of the site console: one file a page, each with render()."""
