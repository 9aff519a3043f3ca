"""Compact Convolutional Transformers as a reproducible pipeline (see README.md)."""

__version__ = "0.2.0"
