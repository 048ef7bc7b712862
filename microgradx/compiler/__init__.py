"""Training steps and functions of arrays, traced once and written as NumPy source."""
