"""The only door out: permits, release, journal, witness, connection to the hub."""
