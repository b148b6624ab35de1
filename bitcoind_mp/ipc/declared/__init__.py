"""What a declared method says of itself: its parameters, its help, the table of commands."""
