"""Training steps and functions of arrays, captured once and written out as NumPy source."""
