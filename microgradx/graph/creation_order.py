"""In which order Tensors are made: that of the computation, kept at no cost."""

import itertools

__all__ = ["creation_counter"]

# Every Tensor takes a number when it is made, and a new one when its array is changed.
creation_counter = itertools.count(1)
