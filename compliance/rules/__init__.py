"""The fold: entries in, state of a study or a refusal with its rule out."""
