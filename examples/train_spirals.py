"""A training loop written out, for three spirals that no straight line separates."""

import numpy as np

import microgradx as mg

generator = np.random.default_rng(0)
X, y = mg.data.spirals(300, classes=3, noise=0.05, generator=generator)
model = mg.nn.MLP(2, [32, 32], 3, activation="tanh", generator=generator)
optimizer = mg.optim.Adam(model.parameters(), lr=1e-2)

for _ in range(80):
    for X_batch, y_batch in mg.data.batches(X, y, batch_size=32, generator=generator):
        loss = mg.cross_entropy(model(X_batch), y_batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

with mg.no_grad():
    accuracy = np.mean(model(X).argmax(axis=1) == y)
print(f"before training the loss would be ln 3 = {np.log(3):.3f}; now it is {loss.item():.3f}")
print(f"accuracy on the training data: {accuracy:.1%}")
