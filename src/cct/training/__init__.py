"""From a model and batches to a trained model and its history."""
