"""Image files of a user: which there are, and how each becomes an array."""
