"""Routes translate; services act."""
