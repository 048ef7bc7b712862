"""Recurrent layers: cells, which take one step of a sequence, and layers over all of it.

Names of parameters, the order of gates, and initial distributions (uniform between ±1 / √H, for H
hidden units) are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np

from microgradx.common.randomness import as_generator
from microgradx.engine import Tensor, as_tensor
from microgradx.graph.scopes import scope
from microgradx.nn.functional import linear
from microgradx.nn.functional_dropout import check_probability, dropout
from microgradx.nn.init import uniform_
from microgradx.nn.module import Module
from microgradx.ops.activations import relu, sigmoid
from microgradx.ops.elementwise import tanh
from microgradx.ops.shapes import concatenate, split, stack, swapaxes

__all__ = ["GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell"]

State = tuple[Any, ...]

# ---------------------------------------------------------------------------- one step
#
# A step takes what the input contributes to the gates, W x + b, the same of the hidden state,
# U h + c, and the state before; it returns the state after, whose first item is the output.


@scope
def rnn_tanh_step(x: Any, u: Any, state: State) -> State:
    return (tanh(x + u),)


@scope
def rnn_relu_step(x: Any, u: Any, state: State) -> State:
    return (relu(x + u),)


@scope
def gru_step(x: Any, u: Any, state: State) -> State:
    (h,) = state
    x_r, x_z, x_n = split(x, 3, -1)
    u_r, u_z, u_n = split(u, 3, -1)
    r = sigmoid(x_r + u_r)
    z = sigmoid(x_z + u_z)
    n = tanh(x_n + r * u_n)
    return ((1 - z) * n + z * h,)


@scope
def lstm_step(x: Any, u: Any, state: State) -> State:
    _, c = state
    i, f, g, o = split(x + u, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


Step = Callable[[Any, Any, State], State]
Nonlinearity = Literal["tanh", "relu"]

_RNN_STEPS: dict[str, Step] = {"tanh": rnn_tanh_step, "relu": rnn_relu_step}


def _find_rnn_step(nonlinearity: str) -> Step:
    if nonlinearity not in _RNN_STEPS:
        raise ValueError(f'nonlinearity must be "tanh" or "relu", not {nonlinearity!r}')
    return _RNN_STEPS[nonlinearity]


_PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class _Recurrent(Module):
    """What cells and layers share: sizes, parameters, and a step."""

    #: How many times the hidden size the weights have rows.
    gates: ClassVar[int] = 1
    #: The number of arrays in a state.
    states: ClassVar[int] = 1
    step: Step

    def _add_parameters(
        self, suffix: str, input_size: int, bias: bool, dtype: Any, generator: Any
    ) -> None:
        rows = self.gates * self.hidden_size
        limit = 1 / math.sqrt(self.hidden_size)
        shapes = ((rows, input_size), (rows, self.hidden_size), (rows,), (rows,))
        for name, shape in zip(_PARAMETERS, shapes, strict=True):
            parameter = None
            if bias or not name.startswith("bias"):
                array = uniform_(shape, -limit, limit, generator=generator, dtype=dtype)
                parameter = Tensor(array, requires_grad=True)
            setattr(self, name + suffix, parameter)

    def _parameters(self, suffix: str) -> list[Any]:
        return [getattr(self, name + suffix) for name in _PARAMETERS]

    def _check_sizes(self, input_size: int, hidden_size: int) -> None:
        if min(input_size, hidden_size) < 1:
            raise ValueError(
                f"{type(self).__name__} needs at least 1 input and 1 hidden unit, not "
                f"input_size={input_size} and hidden_size={hidden_size}"
            )
        self.input_size = input_size
        self.hidden_size = hidden_size

    def _as_state(self, hx: Any, shape: tuple[int, ...], dtype: Any) -> State:
        """The state that was given, as a tuple, or zeros."""
        if hx is None:
            return (np.zeros(shape, dtype),) * self.states
        given = tuple(hx) if self.states > 1 else (hx,)
        state = tuple(as_tensor(h, dtype) for h in given)
        if [h.shape for h in state] != [shape] * self.states:
            raise ValueError(
                f"a state of shape {' and '.join(str(h.shape) for h in state)} does not fit "
                f"{self!r} and its input; it must be {self.states} of shape {shape}"
            )
        return state

    def _check_input(self, x: Any, ndims: tuple[int, int], shapes: str) -> None:
        if x.ndim not in ndims or x.shape[-1] != self.input_size:
            raise ValueError(
                f"an input of shape {x.shape} does not fit {self!r}; it must have shape {shapes}, "
                f"with {self.input_size} features"
            )


# ---------------------------------------------------------------------------- cells


class _Cell(_Recurrent):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        self._check_sizes(input_size, hidden_size)
        self._add_parameters("", input_size, bias, dtype, generator)

    def forward(self, input: Any, hx: Any = None) -> Any:
        w, u, b, c = self._parameters("")
        dtype = w.dtype
        x: Any = as_tensor(input, dtype)
        self._check_input(x, (1, 2), "(N, input_size), or (input_size,)")
        state = self._as_state(hx, (*x.shape[:-1], self.hidden_size), dtype)
        state = self.step(linear(x, w, b), linear(state[0], u, c), state)
        return state if self.states > 1 else state[0]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


class RNNCell(_Cell):
    """One step of a recurrent network: h' = tanh(W x + b + U h + c).

    Maps an input x, (N, input_size), and the hidden state h, (N, hidden_size) or zeros if it is
    None, to the next state h'; both may be without the batch axis N. `nonlinearity` is "tanh" or
    "relu". W is `weight_ih`, b `bias_ih`, U `weight_hh` and c `bias_hh`.

    >>> import microgradx as mg
    >>> cell = mg.nn.RNNCell(3, 4)
    >>> h = None
    >>> for x in np.ones((6, 2, 3)):
    ...     h = cell(x, h)
    >>> h.shape
    (2, 4)

    Raises ValueError for sizes below 1, another nonlinearity, and shapes that do not fit.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: Nonlinearity = "tanh",
        *,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.nonlinearity = nonlinearity
        self.step = _find_rnn_step(nonlinearity)
        super().__init__(input_size, hidden_size, bias, dtype=dtype, generator=generator)


class GRUCell(_Cell):
    """One step of a gated recurrent unit; see `RNNCell` for shapes and errors.

        r = sigmoid(W_r x + b_r + U_r h + c_r)
        z = sigmoid(W_z x + b_z + U_z h + c_z)
        n = tanh(W_n x + b_n + r (U_n h + c_n))
        h' = (1 - z) n + z h

    Source: K. Cho et al., 2014; with r behind U_n, as in PyTorch.

    >>> import microgradx as mg
    >>> mg.nn.GRUCell(3, 4)(np.ones((2, 3))).shape
    (2, 4)
    """

    gates = 3
    step = staticmethod(gru_step)


class LSTMCell(_Cell):
    """One step of a long short-term memory, whose state is a pair (h, c); see `RNNCell`.

        i, f, o = sigmoid(W x + b + U h + c), each with weights of its own
        g = tanh(W_g x + b_g + U_g h + c_g)
        c' = f c + i g
        h' = o tanh(c')

    Source: S. Hochreiter and J. Schmidhuber, 1997; F. A. Gers et al., 2000.

    >>> import microgradx as mg
    >>> h, c = mg.nn.LSTMCell(3, 4)(np.ones((2, 3)))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    gates = 4
    states = 2
    step = staticmethod(lstm_step)


# ---------------------------------------------------------------------------- over a sequence


class _Layers(_Recurrent):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        self._check_sizes(input_size, hidden_size)
        if num_layers < 1:
            raise ValueError(f"{type(self).__name__} needs at least 1 layer, not {num_layers}")
        check_probability(dropout)
        as_generator(generator)  # raises here, not at the first call, if it is not a generator
        self.num_layers = num_layers
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.generator = generator
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                self._add_parameters(suffix, input_size, bias, dtype, generator)
            input_size = hidden_size * (1 + bidirectional)

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: 1 + self.bidirectional]

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        dtype = self._parameters("_l0")[0].dtype
        x: Any = as_tensor(input, dtype)
        shapes = "(N, L, input_size)" if self.batch_first else "(L, N, input_size)"
        self._check_input(x, (2, 3), f"{shapes}, or (L, input_size)")
        swaps = self.batch_first and x.ndim == 3
        if swaps:
            x = swapaxes(x, 0, 1)
        if not len(x):
            raise ValueError(f"an input of shape {input.shape} has no steps; it needs at least 1")
        runs = self.num_layers * (1 + self.bidirectional)
        shape = (runs, *x.shape[1:-1], self.hidden_size)
        given = self._as_state(hx, shape, dtype)
        last: list[State] = []
        for layer in range(self.num_layers):
            if layer:
                x = dropout(x, self.dropout, self.training, generator=self.generator)
            directions = []
            for suffix in self._suffixes(layer):
                state = tuple(part[len(last)] for part in given)
                outputs, state = self._run(suffix, x, state)
                directions.append(outputs)
                last.append(state)
            x = concatenate(directions, -1) if self.bidirectional else directions[0]
        states = tuple(stack(parts) for parts in zip(*last, strict=True))
        return swapaxes(x, 0, 1) if swaps else x, states if self.states > 1 else states[0]

    def _run(self, suffix: str, x: Any, state: State) -> tuple[Any, State]:
        """The outputs at all steps, and the last state, of one layer in one direction."""
        w, u, b, c = self._parameters(suffix)
        contributions = linear(x, w, b)
        outputs: list[Any] = [None] * len(x)
        times = range(len(x))
        for t in reversed(times) if suffix.endswith("reverse") else times:
            state = self.step(contributions[t], linear(state[0], u, c), state)
            outputs[t] = state[0]
        return stack(outputs), state

    def extra_repr(self) -> str:
        more = {"num_layers": 1, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        settings = [
            f"{name}={getattr(self, name)}"
            for name, default in more.items()
            if getattr(self, name) != default
        ]
        return ", ".join([str(self.input_size), str(self.hidden_size), *settings])


class RNN(_Layers):
    """`RNNCell` over a sequence: maps inputs of shape (L, N, input_size) to (L, N, hidden_size).

    Returns the outputs of the last layer at all L steps, and the last states of all layers,
    (num_layers, N, hidden_size). The states before the first step are zeros, or given as a second
    argument of that shape. With `batch_first=True` the axes of inputs and outputs, not of states,
    are (N, L, …); without a batch, the axis N is left out.

    num_layers: so many layers, each of which reads the outputs of the one before.
    dropout: applied to the outputs of each layer but the last, in training.
    bidirectional: run a second set of weights backward in time, beside the first; the outputs, of
        length 2 · hidden_size, and states, 2 for each layer, have both.

    >>> import microgradx as mg
    >>> outputs, last = mg.nn.RNN(3, 4, batch_first=True)(np.ones((2, 6, 3)))
    >>> outputs.shape, last.shape
    ((2, 6, 4), (1, 2, 4))

    Raises ValueError for sizes below 1, another nonlinearity, and shapes that do not fit.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Nonlinearity = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.nonlinearity = nonlinearity
        self.step = _find_rnn_step(nonlinearity)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            dtype=dtype,
            generator=generator,
        )


class GRU(_Layers):
    """`GRUCell` over a sequence; see `RNN` for arguments, shapes and errors.

    >>> import microgradx as mg
    >>> outputs, last = mg.nn.GRU(3, 4, num_layers=2, bidirectional=True)(np.ones((6, 2, 3)))
    >>> outputs.shape, last.shape
    ((6, 2, 8), (4, 2, 4))
    """

    gates = 3
    step = staticmethod(gru_step)


class LSTM(_Layers):
    """`LSTMCell` over a sequence, with pairs of states (h, c); see `RNN`.

    >>> import microgradx as mg
    >>> outputs, (h, c) = mg.nn.LSTM(3, 4)(np.ones((6, 2, 3)))
    >>> outputs.shape, h.shape, c.shape
    ((6, 2, 4), (1, 2, 4), (1, 2, 4))
    """

    gates = 4
    states = 2
    step = staticmethod(lstm_step)
