"""Your own op: two methods. Then the same op with a mistake, which gradcheck finds."""

import numpy as np

import microgradx as mg


class Swish(mg.Op):
    """x sigmoid(x)."""

    formula = "x sigmoid(x)"

    def forward(self, x):
        return x * mg.sigmoid(x)

    def backward(self, g, out, x):
        s = mg.sigmoid(x)
        return g * (s + out * (1 - s))


class WrongSwish(Swish):
    """Forgets that x occurs twice in x sigmoid(x)."""

    def backward(self, g, out, x):
        return g * mg.sigmoid(x)


x = np.array([-2.0, 0.5, 3.0])
print(mg.gradcheck(Swish(), x, order=2).message)
try:
    mg.gradcheck(WrongSwish(), x)
except mg.GradcheckError as error:
    print(error)
