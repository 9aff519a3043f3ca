"""The stages of `dvc.yaml`, one module each: read, call, write. `__main__` runs a stage with its tracker."""
