"""Image files of a user: where they are, of which class each is, and how each becomes an array."""
