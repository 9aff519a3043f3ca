"""What runs the pipeline: presets, ablations, clones, comparisons."""
