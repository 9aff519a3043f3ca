"""The backend and the machine that compute."""
