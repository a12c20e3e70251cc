"""A page that steps through the forward and backward pass of a model, number by number."""
