"""Texts of a data source, from files to arrays of numbers of words."""
