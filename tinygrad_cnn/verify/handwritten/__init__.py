"""Gradients that somebody wrote in NumPy, and the files they come in."""
