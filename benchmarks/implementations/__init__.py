"""One file a library: all that is written with it, each function as its users would write it.

What differs between workloads stands side by side: `training_step`, `digits`, `small_ops`,
`cross_entropy`, `cnn_step`, `conv2d`, `max_pool2d`, `hessian_vector_product`; and a long chain is
in `long_chains`, as each runs in a process of its own.
"""
