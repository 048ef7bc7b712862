"""What makes a Tensor look like a NumPy array."""
