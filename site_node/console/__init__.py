"""The site console's own side: what a steward sees and does, on a socket beyond any network."""
