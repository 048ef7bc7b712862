"""A convolutional network for handwritten digits: 99 % of those that it has not seen are right.

Five splits take half a minute; `--quick` trains one epoch on one. Needs scikit-learn, for the data.
"""

import sys
from functools import partial

import numpy as np
from sklearn.datasets import load_digits

import microgradx as mg
from microgradx import nn

SPLITS, EPOCHS = (1, 1) if "--quick" in sys.argv else (5, 12)


def make_network(generator):
    def convolve(channels, out):
        weights = nn.Conv2d(channels, out, 3, padding=1, bias=False, generator=generator)
        return [weights, nn.BatchNorm2d(out), nn.ReLU()]

    return nn.Sequential(
        *convolve(1, 16),
        *convolve(16, 16),
        nn.MaxPool2d(2),
        *convolve(16, 32),
        *convolve(32, 32),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3, generator),
        nn.Linear(32 * 2 * 2, 10, initialisation=nn.init.zeros_),
    )


pixels, labels = load_digits(return_X_y=True)
images = (pixels / 16).reshape(-1, 1, 8, 8)  # rows, channels, height, width
print(make_network(None).summary(images.shape[1:]), "\n")

accuracies = []
for seed in range(SPLITS):
    generator = np.random.default_rng(seed)
    training, held_out = mg.data.stratified_split(labels, 0.2, generator)
    network = make_network(generator)
    mg.fit(
        network,
        (images[training], labels[training]),
        loss=partial(mg.cross_entropy, label_smoothing=0.1),
        lr=0.01,
        epochs=EPOCHS,
        batch_size=64,
        schedule="one_cycle",
        generator=generator,
        progress=False,
    )
    accuracies.append(mg.evaluate(network, (images[held_out], labels[held_out]))["accuracy"])
    print(f"split {seed}: {accuracies[-1]:.1%} of {len(held_out)} digits are right")
print(f"mean: {np.mean(accuracies):.2%}")
