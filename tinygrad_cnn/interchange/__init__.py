"""Files of other programs: PyTorch's weights, safetensors, NumPy's archives."""
