"""Compact Convolutional Transformers as a reproducible pipeline (see README.md)."""

__version__ = "0.1.0"
