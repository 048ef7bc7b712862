"""Ops with rules as a test wants them, right or wrong."""

import microgradx as mg


def wrong(forward, backward):
    """An op with the given pair of functions."""

    class Wrong(mg.Op):
        def forward(self, *inputs):
            return forward(*inputs)

        def backward(self, g, out, *inputs):
            return backward(g, out, *inputs)

    return Wrong()
