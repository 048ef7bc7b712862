"""Wrong derivative rules, each with the kind of mistake that it makes.

The mistakes were planted by somebody who had not seen the code that diagnoses them: they are an
exam for it, and are not to be adapted to what it happens to recognise.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import microgradx as mg


class Planted(NamedTuple):
    """A function with a mistake in its rule, and where to look for it."""

    kind: str
    name: str
    function: Callable[..., Any]
    inputs: tuple[np.ndarray, ...]


def normal(seed: int, *shapes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Arrays of normally distributed numbers."""
    generator = np.random.default_rng(seed)
    return tuple(generator.normal(size=shape) for shape in shapes)


def uniform(seed: int, low: float, high: float, *shapes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Arrays of numbers between `low` and `high`."""
    generator = np.random.default_rng(seed)
    return tuple(generator.uniform(low, high, size=shape) for shape in shapes)


def set_values(array: np.ndarray, values: dict[tuple[int, ...], float]) -> np.ndarray:
    """A copy of the array with the given values at the given indices."""
    array = array.copy()
    for index, value in values.items():
        array[index] = value
    return array


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


# ---------------------------------------------------------------------------- constant factor


class MeanSquaredError(mg.Op):
    """Forgets the 1/N of the mean."""

    def forward(self, prediction, target):
        return np.mean((prediction - target) ** 2)

    def backward(self, g, out, prediction, target):
        slope = 2 * (prediction - target)
        return g * slope, -g * slope


class Log2(mg.Op):
    """Differentiates the binary logarithm as if it were the natural one."""

    def forward(self, x):
        return np.log2(x)

    def backward(self, g, out, x):
        return g / x


class PairwiseAverage(mg.Op):
    """Hands the whole gradient to both members of a pair, instead of half of it to each."""

    def forward(self, x):
        rows, columns = x.shape
        return np.mean(np.reshape(x, (rows, columns // 2, 2)), axis=2)

    def backward(self, g, out, x):
        return np.repeat(g, 2, axis=1)


class Cosine(mg.Op):
    """Loses the sign of the derivative."""

    def forward(self, x):
        return np.cos(x)

    def backward(self, g, out, x):
        return g * np.sin(x)


class CrossEntropy(mg.Op):
    """Divides by the number of classes where it should divide by the number of examples."""

    def __init__(self, labels):
        self.labels = labels

    def forward(self, logits):
        rows = np.arange(len(logits))
        return -np.mean(np.log(softmax(logits)[rows, list(self.labels)]))

    def backward(self, g, out, logits):
        examples, classes = logits.shape
        gradient = softmax(logits)
        gradient[np.arange(examples), list(self.labels)] -= 1
        return g * gradient / classes


class Difference(mg.Op):
    """Gives the subtrahend the gradient of a summand."""

    def forward(self, x, y):
        return x - y

    def backward(self, g, out, x, y):
        return g, g


# ---------------------------------------------------------------------------- transposed


class Dense(mg.Op):
    """Computes the weight's gradient for a weight stored (inputs, outputs): this one is not."""

    def forward(self, x, w):
        return x @ w.T

    def backward(self, g, out, x, w):
        return g @ w, x.T @ g


class Determinant(mg.Op):
    """Forgets the transpose in Jacobi's formula."""

    def forward(self, x):
        return np.linalg.det(x)

    def backward(self, g, out, x):
        return g * out * np.linalg.inv(x)


class Bilinear(mg.Op):
    """Takes the outer products of the two vectors in the wrong order."""

    def forward(self, x, w, y):
        return np.sum((x @ w) * y, axis=1)

    def backward(self, g, out, x, w, y):
        g = np.reshape(g, (-1, 1))
        return g * (y @ w.T), (g * y).T @ x, g * (x @ w)


class Turn(mg.Op):
    """Lets the gradient through as it is, though the op transposes."""

    def forward(self, x):
        return x.T.copy()

    def backward(self, g, out, x):
        return g


class Inverse(mg.Op):
    """Transposes the gradient instead of the inverses on both sides of it."""

    def forward(self, x):
        return np.linalg.inv(x)

    def backward(self, g, out, x):
        return -out @ g.T @ out


# ---------------------------------------------------------------------------- missing sum


class AddBias(mg.Op):
    """Gives the bias the gradient of the first row."""

    def forward(self, x, b):
        return x + b

    def backward(self, g, out, x, b):
        return g, g[0]


class FeatureScale(mg.Op):
    """Overwrites the scale's gradient row after row, so that the last row's remains."""

    def forward(self, x, scale):
        return x * scale

    def backward(self, g, out, x, scale):
        for g_row, x_row in zip(g, x, strict=True):
            to_scale = g_row * x_row
        return g * scale, to_scale


class Embedding(mg.Op):
    """Assigns to rows of the table that were looked up more than once, instead of adding."""

    def __init__(self, tokens):
        self.tokens = tokens

    def forward(self, table):
        return table[list(self.tokens)]

    def backward(self, g, out, table):
        gradient = np.zeros_like(table)
        gradient[list(self.tokens)] = g
        return gradient


class Convolution(mg.Op):
    """Has `=` for `+=` where the kernel's gradient is accumulated over the positions."""

    def forward(self, signal, kernel):
        width = len(kernel)
        positions = signal.shape[1] - width + 1
        return np.stack([signal[:, i : i + width] @ kernel for i in range(positions)], axis=1)

    def backward(self, g, out, signal, kernel):
        width = len(kernel)
        to_signal = np.zeros_like(signal)
        to_kernel = np.zeros_like(kernel)
        for i in range(g.shape[1]):
            to_signal[:, i : i + width] += np.outer(g[:, i], kernel)
            to_kernel = g[:, i] @ signal[:, i : i + width]
        return to_signal, to_kernel


class ParametricReLU(mg.Op):
    """Takes the gradient of the slopes, which all rows share, from row 0 alone."""

    def forward(self, x, slope):
        return np.where(x > 0, x, slope * x)

    def backward(self, g, out, x, slope):
        to_slope = np.where(x > 0, 0, g * x)
        return np.where(x > 0, g, g * slope), to_slope[:1]


# ---------------------------------------------------------------------------- double sum


class Logits(mg.Op):
    """Sums the bias's gradient over the classes as well as over the examples."""

    def forward(self, x, w, b):
        return x @ w + b

    def backward(self, g, out, x, w, b):
        return g @ w.T, x.T @ g, np.full_like(b, np.sum(g))


class GammaCorrection(mg.Op):
    """Sums the exponents' gradient over the columns too, though each has an exponent of its own."""

    def forward(self, x, gamma):
        return x**gamma

    def backward(self, g, out, x, gamma):
        total = np.sum(g * out * np.log(x), axis=(0, 1))
        return g * gamma * x ** (gamma - 1), np.broadcast_to(total, gamma.shape)


class RowTotals(mg.Op):
    """Fills all rows with the sum of their gradients, instead of each with its own."""

    def forward(self, x):
        return np.sum(x, axis=1)

    def backward(self, g, out, x):
        return np.full_like(x, np.sum(g))


class Positions(mg.Op):
    """Sums over the time steps as well as over the batch, though each step has its own vector."""

    def forward(self, x, position):
        return x + position

    def backward(self, g, out, x, position):
        return g, np.zeros_like(position) + np.sum(g, axis=(0, 1))


# ---------------------------------------------------------------------------- missing factor


class Logistic(mg.Op):
    """Stops after the first of the two factors of out (1 - out)."""

    def forward(self, x):
        return sigmoid(x)

    def backward(self, g, out, x):
        return g * out


class Sine(mg.Op):
    """Passes the gradient on without the derivative of the sine."""

    def forward(self, x):
        return np.sin(x)

    def backward(self, g, out, x):
        return g


class RowNorm(mg.Op):
    """Forgets to divide by the norm."""

    def forward(self, x):
        return np.sqrt(np.sum(x**2, axis=1, keepdims=True))

    def backward(self, g, out, x):
        return g * x


class CoolDown(mg.Op):
    """Does not divide the gradient of the scores by their temperature."""

    def forward(self, scores, temperature):
        return scores / temperature

    def backward(self, g, out, scores, temperature):
        return g, -g * scores / temperature**2


class Bell(mg.Op):
    """Differentiates the exponential but not what is inside it."""

    def forward(self, x):
        return np.exp(-(x**2) / 2)

    def backward(self, g, out, x):
        return -g * out


class Decay(mg.Op):
    """Forgets that the rate is multiplied by the time."""

    def forward(self, rate, time):
        return np.exp(-rate * time)

    def backward(self, g, out, rate, time):
        return -g * out, -g * out * rate


class Reciprocal(mg.Op):
    """Has the reciprocal once where its square belongs."""

    def forward(self, x):
        return 1 / x

    def backward(self, g, out, x):
        return -g * out


class GeometricMean(mg.Op):
    """Leaves out the derivative of the logarithms whose mean it takes."""

    def forward(self, x):
        return np.exp(np.mean(np.log(x), axis=1, keepdims=True))

    def backward(self, g, out, x):
        return g * out / x.shape[1] * np.ones_like(x)


class HyperbolicTangent(mg.Op):
    """Does not apply the derivative of the activation."""

    def forward(self, x):
        return np.tanh(x)

    def backward(self, g, out, x):
        return g.copy()


# ---------------------------------------------------------------------------- one of several uses


class SelfGate(mg.Op):
    """Treats the gate as a constant, though it depends on x as well."""

    def forward(self, x):
        return x * sigmoid(x)

    def backward(self, g, out, x):
        return g * sigmoid(x)


class TiedAutoencoder(mg.Op):
    """Counts the weight's use in the decoder and not that in the encoder."""

    def forward(self, x, w):
        return np.tanh(x @ w) @ w.T

    def backward(self, g, out, x, w):
        code = np.tanh(x @ w)
        to_code = (g @ w) * (1 - code**2)
        return to_code @ w.T, g.T @ code


class QuadraticForm(mg.Op):
    """Differentiates only the x on the right of the matrix, which is not symmetric."""

    def forward(self, x, a):
        return np.sum((x @ a) * x, axis=1, keepdims=True)

    def backward(self, g, out, x, a):
        return g * (x @ a), (g * x).T @ x


class RootMeanSquareNorm(mg.Op):
    """Divides the gradient by the root mean square as if that did not depend on x."""

    def forward(self, x, gain):
        return x / np.sqrt(np.mean(x**2, axis=1, keepdims=True)) * gain

    def backward(self, g, out, x, gain):
        size = np.sqrt(np.mean(x**2, axis=1, keepdims=True))
        return g * gain / size, np.sum(g * x / size, axis=0)


class Similarities(mg.Op):
    """Counts the rows as the left factor of the product, and not as the right one."""

    def forward(self, x, w):
        return x @ w @ x.T

    def backward(self, g, out, x, w):
        return g @ (x @ w.T), x.T @ g @ x


# ---------------------------------------------------------------------------- kink


class ReLU(mg.Op):
    """Has slope 1 at 0."""

    def forward(self, x):
        return np.maximum(x, 0)

    def backward(self, g, out, x):
        return g * (x >= 0)


class RowMax(mg.Op):
    """Gives all that tie for the maximum the whole gradient."""

    def forward(self, x):
        return np.max(x, axis=1, keepdims=True)

    def backward(self, g, out, x):
        return g * (x == out)


class Larger(mg.Op):
    """Gives the gradient to the second of two equal inputs."""

    def forward(self, x, y):
        return np.maximum(x, y)

    def backward(self, g, out, x, y):
        return g * (x > y), g * (x <= y)


class AbsoluteError(mg.Op):
    """Has slope 1 where the prediction is exact."""

    def forward(self, prediction, target):
        return np.sum(np.abs(prediction - target), axis=0)

    def backward(self, g, out, prediction, target):
        sign = np.where(prediction >= target, 1.0, -1.0)
        return g * sign, -g * sign


class HardTanh(mg.Op):
    """Has slope 0 at both bounds."""

    def forward(self, x):
        return np.clip(x, -1, 1)

    def backward(self, g, out, x):
        return np.where(np.abs(x) < 1, g, 0)


class LeakyReLU(mg.Op):
    """Has the small slope at 0."""

    def forward(self, x):
        return np.where(x > 0, x, 0.1 * x)

    def backward(self, g, out, x):
        return np.where(x > 0, g, 0.1 * g)


# ---------------------------------------------------------------------------- outside the first row


class Softmax(mg.Op):
    """Subtracts the first row's weighted sum from all the rows."""

    def forward(self, x):
        return softmax(x)

    def backward(self, g, out, x):
        expected = np.sum(g * out, axis=1)
        return out * (g - expected[0])


class RowVariance(mg.Op):
    """Measures the deviations in all rows from the mean of row 0."""

    def forward(self, x):
        return np.var(x, axis=1)

    def backward(self, g, out, x):
        mean = np.mean(x, axis=1)[0]
        return np.reshape(g, (-1, 1)) * 2 * (x - mean) / x.shape[1]


class LogSumExp(mg.Op):
    """Returns from inside the loop over the rows."""

    def forward(self, x):
        largest = np.max(x, axis=1, keepdims=True)
        return np.log(np.sum(np.exp(x - largest), axis=1)) + largest[:, 0]

    def backward(self, g, out, x):  # noqa: RET503
        gradient = np.zeros_like(x)
        for i in range(len(x)):
            gradient[i] = g[i] * np.exp(x[i] - out[i])
            return gradient


class WeighExamples(mg.Op):
    """Weighs the gradients of all examples like the first."""

    def forward(self, x, weight):
        return x * weight

    def backward(self, g, out, x, weight):
        return g * weight[0], np.sum(g * x, axis=1, keepdims=True)


# ---------------------------------------------------------------------------- coarse dtype


class Softplus(mg.Op):
    """Saves memory by computing in float32."""

    def forward(self, x):
        return np.logaddexp(np.float32(0), x.astype(np.float32))

    def backward(self, g, out, x):
        return g * sigmoid(x)


class SquaredDistances(mg.Op):
    """Collects its results in a float32 table."""

    def forward(self, x, centres):
        table = np.empty((len(x), len(centres)), dtype=np.float32)
        for i, row in enumerate(x):
            table[i] = np.sum((row - centres) ** 2, axis=1)
        return table.astype(np.float64)

    def backward(self, g, out, x, centres):
        difference = x[:, None, :] - centres[None, :, :]
        scaled = 2 * g[:, :, None] * difference
        return np.sum(scaled, axis=1), -np.sum(scaled, axis=0)


class CubeRoot(mg.Op):
    """Rounds its input to half precision."""

    def forward(self, x):
        return np.cbrt(x.astype(np.float16)).astype(x.dtype)

    def backward(self, g, out, x):
        return g / (3 * np.cbrt(x) ** 2)


class SinglePrecisionProduct(mg.Op):
    """Multiplies float32 copies of its matrices."""

    def forward(self, x, w):
        return (x.astype("f4") @ w.astype("f4")).astype("f8")

    def backward(self, g, out, x, w):
        return g @ w.T, x.T @ g


# ---------------------------------------------------------------------------- missing gradient


class Gain(mg.Op):
    """Answers None for the gain, as if nobody wanted to learn it."""

    def forward(self, x, gain):
        return np.log1p(np.exp(x)) * gain

    def backward(self, g, out, x, gain):
        return g * gain * sigmoid(x), None


class Tempered(mg.Op):
    """Has no mistake itself: the one who calls it cuts the temperature off."""

    def forward(self, scores, temperature):
        return np.tanh(scores / temperature)

    def backward(self, g, out, scores, temperature):
        inner = g * (1 - out**2)
        return inner / temperature, -inner * scores / temperature**2


tempered = Tempered()


def detached_temperature(scores, log_temperature):
    """Computes the temperature inside no_grad()."""
    with mg.no_grad():
        temperature = np.exp(log_temperature)
    return tempered(scores, temperature)


class SoftCap(mg.Op):
    """Computes the gradient and forgets to return it."""

    def forward(self, x):
        return 3 * np.tanh(x / 3)

    def backward(self, g, out, x):
        gradient = np.empty_like(x)
        np.multiply(g, 1 - (out / 3) ** 2, out=gradient)


class Huber(mg.Op):
    """Takes it for granted that targets are data."""

    def forward(self, prediction, target):
        error = np.abs(prediction - target)
        return np.where(error < 1, error**2 / 2, error - 0.5)

    def backward(self, g, out, prediction, target):
        return g * np.clip(prediction - target, -1, 1), None


# ---------------------------------------------------------------------------- non-deterministic


class Dropout(mg.Op):
    """Draws another mask at each call."""

    def __init__(self):
        self.generator = np.random.default_rng(71)

    def forward(self, x):
        return x * (self.generator.random(x.shape) < 0.5) / 0.5

    def backward(self, g, out, x):
        return g * (out != 0) / 0.5


class NoisyUnits(mg.Op):
    """Multiplies by other noise at each call."""

    def __init__(self):
        self.generator = np.random.default_rng(72)

    def forward(self, x):
        return x * self.generator.normal(1, 0.2, size=x.shape)

    def backward(self, g, out, x):
        return g * out / x


class Mixup(mg.Op):
    """Mixes each example with its neighbour, in another proportion at each call."""

    def __init__(self):
        self.generator = np.random.default_rng(73)
        self.share = 1.0

    def forward(self, x):
        self.share = self.generator.uniform(0.3, 0.7)
        return self.share * x + (1 - self.share) * np.roll(x, 1, axis=0)

    def backward(self, g, out, x):
        return self.share * g + (1 - self.share) * np.roll(g, -1, axis=0)


class InputNoise(mg.Op):
    """Adds fresh noise to the inputs at each call."""

    def forward(self, x):
        return x + np.random.default_rng().normal(0, 0.01, size=x.shape)

    def backward(self, g, out, x):
        return g


# ------------------------------------------------------------------------ upstream gradient ignored


class ArcTangent(mg.Op):
    """Returns the derivative as a table of derivatives has it."""

    def forward(self, x):
        return np.arctan(x)

    def backward(self, g, out, x):
        return 1 / (1 + x**2)


class Hadamard(mg.Op):
    """Knows that the derivative of x y is y, and that is all."""

    def forward(self, x, y):
        return x * y

    def backward(self, g, out, x, y):
        return y, x


class BinaryCrossEntropy(mg.Op):
    """Assumes that the loss is the end of the computation."""

    def __init__(self, labels):
        self.labels = labels

    def forward(self, scores):
        labels = np.array(self.labels)
        return np.mean(np.logaddexp(0, scores) - labels * scores)

    def backward(self, g, out, scores):
        return (sigmoid(scores) - np.array(self.labels)) / scores.size


class Distance(mg.Op):
    """Returns the unit vectors between the points, whatever the distances are used for."""

    def forward(self, x, y):
        return np.sqrt(np.sum((x - y) ** 2, axis=1, keepdims=True))

    def backward(self, g, out, x, y):
        direction = (x - y) / out
        return direction, -direction


# ---------------------------------------------------------------------------- the list

average = PairwiseAverage()
difference = Difference()
dense = Dense()
turn = Turn()
feature_scale = FeatureScale()
parametric_relu = ParametricReLU()
positions = Positions()
geometric_mean = GeometricMean()
similarities = Similarities()
leaky_relu = LeakyReLU()
weigh_examples = WeighExamples()
product = SinglePrecisionProduct()
huber = Huber()
dropout = Dropout()
hadamard = Hadamard()
binary_cross_entropy = BinaryCrossEntropy(((1, 0, 0), (0, 1, 1)))

MISTAKES: dict[str, list[tuple[str, Callable[..., Any], tuple[np.ndarray, ...]]]] = {
    "constant factor": [
        ("mean squared error", MeanSquaredError(), normal(1, (4, 3), (4, 3))),
        ("binary logarithm", Log2(), uniform(2, 0.4, 3, (3, 5))),
        (
            "average of pairs, in a layer",
            lambda x, w: np.tanh(average(x) @ w),
            normal(3, (4, 6), (3, 2)),
        ),
        ("cosine", Cosine(), normal(4, (3, 4))),
        ("cross-entropy", CrossEntropy((2, 0, 1, 1, 2)), normal(5, (5, 3))),
        (
            "difference, squared and averaged",
            lambda x, y: np.mean(difference(x, y) ** 2, axis=1),
            normal(6, (3, 4), (3, 4)),
        ),
    ],
    "transposed": [
        (
            "dense layer, as wide as its input",
            lambda x, w: np.tanh(dense(x, w)),
            normal(11, (5, 3), (3, 3)),
        ),
        ("dense layer, narrower", dense, normal(12, (5, 4), (2, 4))),
        ("determinant", Determinant(), normal(13, (4, 4))),
        ("bilinear form", Bilinear(), normal(14, (5, 3), (3, 3), (5, 3))),
        ("transpose, before a product", lambda x, w: w @ turn(x), normal(15, (2, 5), (3, 5))),
        ("inverse", Inverse(), (normal(16, (3, 3))[0] + np.diag([3.0, -4.0, 5.0]),)),
    ],
    "missing sum": [
        ("bias", AddBias(), normal(21, (4, 3), (3,))),
        (
            "scale of the features, in an activation",
            lambda x, scale: np.exp(0.5 * feature_scale(x, scale)),
            normal(22, (3, 5), (5,)),
        ),
        ("embedding", Embedding((3, 0, 1, 0, 3, 3)), normal(23, (5, 3))),
        ("convolution", Convolution(), normal(24, (2, 7), (3,))),
        (
            "slope of a rectifier, before a product",
            lambda x, slope, w: parametric_relu(x, slope) @ w,
            (*normal(25, (5, 3)), *uniform(26, 0.1, 0.4, (1, 3)), *normal(27, (3, 2))),
        ),
    ],
    "double sum": [
        ("bias of the logits", Logits(), normal(31, (4, 2), (2, 3), (3,))),
        (
            "gamma correction",
            GammaCorrection(),
            (*uniform(32, 0.2, 0.9, (3, 4)), *uniform(33, 0.5, 2, (4,))),
        ),
        ("row totals", RowTotals(), normal(34, (3, 4))),
        (
            "position vectors, in an activation",
            lambda x, position: np.tanh(positions(x, position)),
            normal(35, (2, 3, 4), (3, 4)),
        ),
    ],
    "missing factor": [
        ("logistic function", Logistic(), normal(41, (3, 4))),
        ("sine", Sine(), uniform(42, -1.2, 1.2, (5, 2))),
        ("norm of the rows", RowNorm(), normal(43, (4, 3))),
        (
            "scores and their temperature",
            CoolDown(),
            (*normal(44, (4, 3)), *uniform(45, 0.5, 3, (4, 1))),
        ),
        ("bell curve", Bell(), uniform(46, 0.3, 2, (2, 5))),
        ("decay", Decay(), uniform(47, 0.3, 2, (3, 4), (3, 4))),
        ("reciprocal", Reciprocal(), uniform(48, 0.5, 3, (4, 2))),
        (
            "geometric mean, times a weight",
            lambda x, w: geometric_mean(x) * w,
            (*uniform(49, 0.4, 3, (3, 4)), *normal(50, (3, 1))),
        ),
        ("hyperbolic tangent", HyperbolicTangent(), normal(40, (4, 5))),
    ],
    "one of several uses": [
        ("self-gated unit", SelfGate(), normal(51, (3, 4))),
        ("tied autoencoder", TiedAutoencoder(), normal(52, (5, 4), (4, 2))),
        ("quadratic form", QuadraticForm(), normal(53, (4, 3), (3, 3))),
        ("division by the root mean square", RootMeanSquareNorm(), normal(54, (3, 5), (5,))),
        (
            "similarities, in an activation",
            lambda x, w: np.tanh(similarities(x, w) / 4),
            normal(55, (4, 3), (3, 3)),
        ),
    ],
    "kink": [
        ("rectifier at 0", ReLU(), (set_values(normal(61, (3, 4))[0], {(1, 2): 0.0}),)),
        (
            "maximum of a row with a tie",
            RowMax(),
            (set_values(normal(62, (4, 3))[0], {(2, 0): 2.5, (2, 2): 2.5}),),
        ),
        (
            "larger of two, once equal",
            Larger(),
            (
                set_values(normal(63, (3, 4))[0], {(2, 1): 0.75}),
                set_values(normal(64, (3, 4))[0], {(2, 1): 0.75}),
            ),
        ),
        (
            "absolute error, once exact",
            AbsoluteError(),
            (
                set_values(normal(65, (5, 2))[0], {(0, 1): -1.25}),
                set_values(normal(66, (5, 2))[0], {(0, 1): -1.25}),
            ),
        ),
        (
            "hard tanh at its bounds",
            HardTanh(),
            (set_values(normal(67, (2, 5))[0], {(0, 3): 1.0, (1, 1): -1.0}),),
        ),
        (
            "leaky rectifier at 0, in a layer",
            lambda x, w: np.tanh(leaky_relu(x) @ w),
            (set_values(normal(68, (4, 3))[0], {(3, 0): 0.0}), *normal(69, (3, 2))),
        ),
    ],
    "outside the first row": [
        ("softmax", Softmax(), normal(81, (4, 3))),
        ("variance of the rows", RowVariance(), normal(82, (3, 5))),
        ("log-sum-exp", LogSumExp(), normal(83, (4, 3))),
        (
            "weights of the examples, in a layer",
            lambda x, weight, w: np.tanh(weigh_examples(x, weight) @ w),
            (*normal(84, (5, 3)), *uniform(85, 0.3, 2, (5, 1)), *normal(86, (3, 2))),
        ),
    ],
    "coarse dtype": [
        ("softplus", Softplus(), normal(91, (3, 4))),
        ("squared distances", SquaredDistances(), normal(92, (4, 3), (2, 3))),
        ("cube root", CubeRoot(), uniform(93, 0.5, 3, (2, 5))),
        (
            "product, in a layer",
            lambda x, w, b: np.tanh(product(x, w) + b),
            normal(94, (5, 3), (3, 4), (4,)),
        ),
    ],
    "missing gradient": [
        ("softplus with a gain", Gain(), normal(101, (4, 3), (3,))),
        ("temperature inside no_grad", detached_temperature, normal(102, (3, 5), (3, 1))),
        ("soft cap", SoftCap(), normal(103, (2, 4))),
        (
            "Huber loss with a computed target",
            lambda x, y: huber(x, np.tanh(y)),
            normal(104, (4, 2), (4, 2)),
        ),
    ],
    "non-deterministic": [
        (
            "dropout, before a layer",
            lambda x, w: np.tanh(dropout(x) @ w),
            normal(111, (5, 6), (6, 2)),
        ),
        ("noisy units", NoisyUnits(), normal(112, (3, 4))),
        ("mixup", Mixup(), normal(113, (4, 3))),
        ("noise on the inputs", InputNoise(), normal(114, (2, 5))),
    ],
    "upstream gradient ignored": [
        ("arc tangent", ArcTangent(), normal(121, (4, 3))),
        (
            "elementwise product, before a readout",
            lambda x, y, w: hadamard(x, y) @ w,
            normal(122, (3, 4), (3, 4), (4, 2)),
        ),
        (
            "binary cross-entropy, in a square root",
            lambda scores: np.sqrt(binary_cross_entropy(scores)),
            normal(123, (2, 3)),
        ),
        ("distance", Distance(), normal(124, (5, 3), (5, 3))),
    ],
}
PLANTED = [Planted(kind, *mistake) for kind, group in MISTAKES.items() for mistake in group]
