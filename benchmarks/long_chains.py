"""A chain of n additions, y = y + x, of single numbers: time, memory, and leaked objects.

    python -m benchmarks.long_chains PyTorch 100000

prints the measurements as JSON. Each chain needs its own process: a library may crash, and memory
can be measured only once.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness import REFERENCE, resident_bytes, summarise_error


class Chain(NamedTuple):
    #: Makes the graph of n additions to x = 1.
    forward: Callable[[int], Any]
    #: Returns the derivative by x, which is n + 1.
    backward: Callable[[Any], Any]
    #: Whether forward and backward are separate.
    is_split: bool = True


def by_hand() -> Chain:
    x = np.array(1, np.float32)

    def forward(n: int) -> list[Any]:
        values = [x]
        for _ in range(n):
            values.append(values[-1] + x)
        return values

    def backward(values: list[Any]) -> Any:
        g, dx = np.array(1, np.float32), np.array(0, np.float32)
        for _ in values[1:]:
            dx += g
        return dx + g

    return Chain(forward, backward)


def microgradx() -> Chain:
    import microgradx as mg

    return _chain_of_tensors(lambda: mg.Tensor(1.0, requires_grad=True, dtype=np.float32))


def pytorch() -> Chain:
    import torch

    torch.set_num_threads(1)
    return _chain_of_tensors(lambda: torch.tensor(1.0, requires_grad=True))


def mygrad() -> Chain:
    import mygrad as mg

    mg.turn_memory_guarding_off()
    return _chain_of_tensors(lambda: mg.tensor(1.0, dtype=np.float32))


def _chain_of_tensors(leaf: Callable[[], Any]) -> Chain:
    def forward(n: int) -> tuple[Any, Any]:
        y = x = leaf()
        for _ in range(n):
            y = y + x
        return x, y

    def backward(graph: tuple[Any, Any]) -> Any:
        x, y = graph
        y.backward()
        return x.grad

    return Chain(forward, backward)


def jax() -> Chain:
    """Without jit: to compile an unrolled chain of this length takes minutes."""
    import jax

    return _chain_of_functions(jax.grad)


def hips() -> Chain:
    import autograd

    return _chain_of_functions(autograd.grad)


def _chain_of_functions(grad: Callable[[Any], Any]) -> Chain:
    def backward(n: int) -> Any:
        def chain(x: Any) -> Any:
            y = x
            for _ in range(n):
                y = y + x
            return y

        return grad(chain)(1.0)

    return Chain(lambda n: n, backward, is_split=False)


CHAINS: dict[str, Callable[[], Chain]] = {
    REFERENCE: by_hand,
    "microgradx": microgradx,
    "JAX, no jit": jax,
    "PyTorch": pytorch,
    "MyGrad": mygrad,
    "HIPS autograd": hips,
}


def measure_chain(name: str, n: int) -> dict[str, Any]:
    """Seconds of forward, backward and freeing; bytes of the graph; objects that survive it."""
    chain = CHAINS[name]()
    chain.backward(chain.forward(100))  # warm up
    gc.collect()
    gc.freeze()
    before = resident_bytes()
    start = time.perf_counter()
    graph = chain.forward(n)
    forward = time.perf_counter()
    size = resident_bytes() - before
    derivative = chain.backward(graph)
    backward = time.perf_counter()
    del graph
    freed = time.perf_counter()
    if float(derivative) != n + 1:
        raise ArithmeticError(f"the derivative is {derivative}, and should be {n + 1}")
    found = {"seconds": freed - start}
    if chain.is_split:
        found |= {
            "forward": forward - start,
            "backward": backward - forward,
            "free": freed - backward,
            "bytes": size,
        }
    gc.collect()
    gc.disable()
    objects = len(gc.get_objects())
    chain.backward(chain.forward(n))
    return {**found, "survivors": max(0, len(gc.get_objects()) - objects)}


if __name__ == "__main__":
    try:
        result = measure_chain(sys.argv[1], int(sys.argv[2]))
    except Exception as error:  # RecursionError among them
        result = {"absent": summarise_error(error)}
    print(json.dumps(result))
