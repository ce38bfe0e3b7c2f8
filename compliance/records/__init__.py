"""The closed list of statements that parties sign."""
