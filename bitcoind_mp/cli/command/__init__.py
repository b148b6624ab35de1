"""One command from the command line."""
