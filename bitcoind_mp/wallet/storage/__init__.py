"""A wallet on disk: its file, its directory, and how copies of it travel."""
