"""Why losses become NaN: exp overflows, and ln 0. The stable forms avoid both."""

import numpy as np

import microgradx as mg

z = np.float32([100.0, 0.0, -100.0])

with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
    naive = np.exp(z) / np.sum(np.exp(z))
    print("naive softmax: ", naive, "since exp(100) is too large for float32")
    print("stable softmax:", mg.softmax(z))

    tensor = mg.Tensor(z, requires_grad=True)
    p = mg.softmax(tensor)
    loss = -np.log(p[2])
    loss.backward()
    print("-ln softmax:   ", loss.item(), "with gradient", tensor.grad)

tensor.zero_grad()
loss = mg.cross_entropy(tensor, 2)
loss.backward()
print("cross_entropy: ", loss.item(), "with gradient", tensor.grad)

confident = np.float32([17.0, 0.0, 0.0])
print("a confident row still has a loss:", mg.cross_entropy(confident, 0))
