"""Tree, checkpoint, cosignature and proof: pure functions, bytes in, answer out."""
