"""One MLflow run for one run of the pipeline. Nothing here decides a result."""
