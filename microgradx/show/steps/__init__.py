"""A computation and its backpropagation as steps, and the derivation of each element."""
