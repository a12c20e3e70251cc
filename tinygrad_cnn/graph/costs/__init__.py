"""What a model costs: parameters, multiply-adds and bytes, layer by layer or in time."""
