"""`./consilium demo`: runs our own public commands as child processes, nothing internal."""
