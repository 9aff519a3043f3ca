"""Architectures, layers, model files, and weights from other models."""
