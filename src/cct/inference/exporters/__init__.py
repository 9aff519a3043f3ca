"""Writes trained models in formats of other programs, and compares them with Keras."""
