"""Where a NaN comes from: a loss written by hand, at large logits."""

import numpy as np

import microgradx as mg


def loss_by_hand(logits, labels):
    e = np.exp(logits)
    p = e / e.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(labels)), labels]).mean()


logits = mg.Tensor([[2.0, 1.0, 0.1], [800.0, 3.0, 0.5]], requires_grad=True, name="logits")
labels = np.array([0, 1])
with np.errstate(all="ignore"):
    print("the loss:", loss_by_hand(logits, labels).item())
try:
    with mg.detect_anomaly():
        loss_by_hand(logits, labels)
except mg.AnomalyError as error:
    print(error)
print("cross_entropy:", mg.cross_entropy(logits, labels).item())
