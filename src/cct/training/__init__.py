"""Training of a model on batches: loop, schedules, optimizers, checkpoints and history."""
