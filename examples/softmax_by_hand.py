"""Softmax from max, exp and sum; its gradient three ways; its graph as a picture."""

import numpy as np

import microgradx as mg

z = mg.Tensor([2.0, 1.0, 0.1], requires_grad=True, name="logits")
y = np.array([1.0, 0.0, 0.0])  # the first class is right

e = np.exp(z - z.max())
p = e / e.sum()
loss = -np.sum(y * np.log(p))
loss.backward()
by_hand = z.grad

z.zero_grad()
mg.cross_entropy(z, 0).backward()

print("composed:", by_hand)
print("fused:   ", z.grad)
print("p - y:   ", p.data - y)
print("picture: ", mg.draw(loss).save("softmax.svg"))
