"""The stages of `dvc.yaml`, one module each: read, call, write. `__main__` runs one of them and has it watched."""
