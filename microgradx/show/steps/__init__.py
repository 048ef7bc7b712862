"""A computation and its backpropagation as steps: what each does, and how each element arises."""
