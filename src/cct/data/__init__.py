"""From a data source to arrays: descriptors, downloads, formats, splits, the processed arrays."""
