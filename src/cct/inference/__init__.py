"""The model outside the pipeline."""
