"""What the hub does; every transaction begins here."""
