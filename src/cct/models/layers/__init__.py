"""Keras layers of the Compact Transformers."""
