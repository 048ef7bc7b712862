"""A convolutional network that tells horizontal bars from vertical ones, in noisy small images."""

import numpy as np

import microgradx as mg
from microgradx.nn import functional as F


class Net(mg.nn.Module):
    def __init__(self, generator):
        draw = generator.normal
        self.kernels = mg.Tensor(draw(size=(4, 1, 3, 3)) / 3, True, dtype=np.float32)
        self.out = mg.nn.Linear(4 * 4 * 4, 2, generator=generator)

    def forward(self, images):
        maps = F.max_pool2d(F.relu(F.conv2d(images, self.kernels, padding=1)), 2)
        return self.out(maps.reshape(len(images), -1))


def bars(n, generator):
    """n images of 8 x 8, each with a bar somewhere, and which way it lies: 0 or 1."""
    labels = generator.integers(2, size=n)
    images = generator.normal(scale=0.7, size=(n, 1, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        bar = np.s_[0, generator.integers(8)] if label == 0 else np.s_[0, :, generator.integers(8)]
        image[bar] += 2
    return images, labels


generator = np.random.default_rng(0)
images, labels = bars(400, generator)
net = Net(generator)
optimizer = mg.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(1, 11):
    for batch, target in mg.data.batches(images, labels, batch_size=32, generator=generator):
        loss = mg.cross_entropy(net(batch), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch:2}: loss {loss.item():.3f}")
with mg.no_grad():
    images, labels = bars(400, generator)
    print(f"accuracy on new images: {np.mean(net(images).argmax(axis=1) == labels):.1%}")
