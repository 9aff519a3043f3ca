"""Texts, each of one class."""
