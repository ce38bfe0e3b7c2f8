"""Keys, signed notes and signed requests (C2SP signed-note, Ed25519)."""
