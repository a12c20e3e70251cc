"""The engine and what it stands on: Tensors, records, the walk back, random numbers."""
