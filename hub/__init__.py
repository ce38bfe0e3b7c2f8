"""Between the hospitals: members, studies, rounds, the log. Never sees an image."""
