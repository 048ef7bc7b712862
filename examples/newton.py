"""Newton's method: the gradient and the Hessian of a function in plain NumPy, from the function."""

import numpy as np

import microgradx as mg


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


gradient, hessian = mg.grad(rosenbrock), mg.hessian(rosenbrock)
x = np.array([-1.2, 1.0, 1.5])
for step in range(20):
    if np.linalg.norm(gradient(x)) < 1e-9:
        break
    x = x - np.linalg.solve(hessian(x), gradient(x))
    print(f"step {step + 1:2}: {rosenbrock(x):12.6g} at {x.round(4)}")
