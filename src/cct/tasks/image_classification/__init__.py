"""Images, each of one class."""
