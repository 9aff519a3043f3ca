"""Evaluation of a trained model: metrics, tables, figures."""
