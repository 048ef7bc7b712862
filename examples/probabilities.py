"""From logits to probabilities: temperature, confidence, label smoothing, and the loss."""

import numpy as np

import microgradx as mg

logits = np.array([2.0, 1.0, 0.0])
for temperature in (0.5, 1.0, 2.0):
    print(f"softmax at T = {temperature}:", mg.softmax(logits, temperature=temperature).round(4))

for p in (0.99, 0.9, 0.5, 0.1, 0.01):
    two = np.log([p, 1 - p])
    print(f"the right class at {p:.2f} costs {mg.cross_entropy(two, 0):.5f}")

print("knowing nothing of 10 classes costs ln 10 =", mg.cross_entropy(np.zeros(10), 3).round(4))

for smoothing in (0.0, 0.15):
    z = mg.Tensor([12.0, 0.0, 0.0], requires_grad=True)
    mg.cross_entropy(z, 0, label_smoothing=smoothing).backward()
    print(f"gradient of a confident row, label smoothing {smoothing}:", z.grad)
