"""The architectures, their layers, their files, and weights from elsewhere."""
