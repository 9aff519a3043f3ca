"""Runs of the pipeline: presets, ablations, clones, comparisons."""
