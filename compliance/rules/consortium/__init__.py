"""The consortium log: who belongs, what is registered, which studies there are."""
