"""The evidence bundle: building it and verifying it offline."""
