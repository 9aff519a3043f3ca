"""When a test gives up waiting."""

HUNG_S = 1200  # seconds; far more than anything takes on a loaded machine, so only what hangs fails
