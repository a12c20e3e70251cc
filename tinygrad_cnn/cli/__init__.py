"""The command line. Nothing here imports NumPy before a command runs; see `main`."""
