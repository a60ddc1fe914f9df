"""The stack of layers whose weights move, and what PyTorch and ONNX ask of it alike."""

import importlib
from dataclasses import dataclass

import keras
import numpy as np

from gru_tf.cell import GRUCell
from gru_tf.layer import GRU

DTYPES = ("float32", "float64")


@dataclass
class Direction:
    """One direction of one layer: its cell, and the weights of one whose update gate keeps the state."""

    cell: keras.Layer
    suffix: str  # of its names in PyTorch

    @property
    def weights(self):
        return self._with_polarity([variable.numpy() for variable in self._variables()])

    @weights.setter
    def weights(self, weights):
        for variable, weight in zip(self._variables(), self._with_polarity(weights), strict=True):
            variable.assign(weight)

    def _variables(self):
        return [self.cell.kernel, self.cell.recurrent_kernel, *([self.cell.bias] if self.cell.use_bias else [])]

    def _with_polarity(self, weights):
        """The weights with the update gate's columns negated if the cell's open gate writes; its own inverse."""
        if getattr(self.cell, "update_gate", "keep") == "keep":
            return weights
        signs = np.repeat([-1, 1, 1], self.cell.units)
        return [weight * signs.astype(weight.dtype) for weight in weights]


class Level:
    """One layer of a stack: its directions, the forward one first, and the cell that speaks for both."""

    def __init__(self, layer, k):
        self.layer, self.k, self.label = layer, k, f"layers[{k}] ({layer.name!r})"
        is_bidirectional = isinstance(layer, keras.layers.Bidirectional)
        parts = [layer.forward_layer, layer.backward_layer] if is_bidirectional else [layer]
        cells = [getattr(part, "cell", None) for part in parts]
        if not all(isinstance(cell, (GRUCell, keras.layers.GRUCell)) for cell in cells):
            raise ValueError(
                f"{self.label} is a {type(layer).__name__} that is no GRU: pass gru_tf.GRU or keras.layers.GRU, each "
                "alone or in keras.layers.Bidirectional."
            )
        self.directions = [Direction(*pair) for pair in zip(cells, (f"_l{k}", f"_l{k}_reverse"), strict=False)]
        self.cell = cells[0]
        # What ONNX calls the order in which the layer takes the steps.
        self.order = "bidirectional" if is_bidirectional else "reverse" if layer.go_backwards else "forward"
        self._require_movable(parts[0])

    @property
    def width(self):
        """The number of features that the layer puts out."""
        return self.cell.units * len(self.directions)

    def build(self, features):
        if not self.layer.built:
            self.layer.build((None, None, features))

    def _require_movable(self, first):
        """The layer must be such as PyTorch or ONNX can say what it computes."""
        for cell in (direction.cell for direction in self.directions):
            for option, name in {"activation": "tanh", "recurrent_activation": "sigmoid"}.items():
                if getattr(cell, option) is not keras.activations.get(name):
                    given = keras.activations.serialize(getattr(cell, option))
                    raise ValueError(
                        f"{self.label} has {option}={given!r}: only {name!r} can be moved. Train with that."
                    )
        if self.order != "bidirectional":
            return
        if self.layer.merge_mode != "concat":
            raise ValueError(
                f"{self.label} has merge_mode={self.layer.merge_mode!r}: make it with merge_mode='concat'."
            )
        if first.go_backwards:
            raise ValueError(f"{self.label} has a forward layer with go_backwards=True: swap the two layers.")
        for option in ("units", "use_bias", "reset_after"):
            forward, backward = (getattr(direction.cell, option) for direction in self.directions)
            if forward != backward:
                raise ValueError(
                    f"{self.label} has {option}={forward!r} forward and {backward!r} backward: make both directions "
                    "alike."
                )


def as_stack(layers):
    """The levels of a layer or a list of them."""
    layers = layers if isinstance(layers, (list, tuple)) else [layers]
    if not layers:
        raise ValueError("layers is empty: pass at least one layer.")
    return [Level(layer, k) for k, layer in enumerate(layers)]


def built_stack(layers):
    """The levels, if their layers have weights of one dtype and fit one on the other."""
    stack = as_stack(layers)
    for level in stack:
        if not level.layer.built:
            raise ValueError(f"{level.label} has no weights yet: call it, or build it with the shape (None, None, I).")
        for kernel in (direction.cell.kernel for direction in level.directions):
            if kernel.dtype not in DTYPES or kernel.dtype != stack[0].cell.kernel.dtype:
                raise ValueError(
                    f"kernel of {level.label} is {kernel.dtype}, that of layers[0] {stack[0].cell.kernel.dtype}: "
                    f"all weights must be of one dtype, {' or '.join(DTYPES)}. Make the layers with that dtype."
                )
        features = level.cell.kernel.shape[0]
        if level.k and features != stack[level.k - 1].width:
            raise ValueError(
                f"kernel of {level.label} has {features} rows: expected {stack[level.k - 1].width}, what the layer "
                "below puts out. Pass the layers of one stack, the first below."
            )
    return stack


def new_layer(order, units, dtype, **options):
    """A layer that returns sequences and takes the steps in the order that ONNX calls so."""
    layer = GRU(units, return_sequences=True, go_backwards=order == "reverse", dtype=dtype, **options)
    return keras.layers.Bidirectional(layer, dtype=dtype) if order == "bidirectional" else layer


def require_same(tensors, expected, source):
    """The tensors must have the names, shapes and dtypes of those expected."""
    missing, unexpected = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    faults = [*(f"lacks {name}" for name in missing), *(f"has the unexpected {name}" for name in unexpected)]
    if faults:
        raise ValueError(
            f"{source} {', '.join(faults)}: expected {', '.join(expected)}. Pass all tensors of one GRU and, if any, "
            "layers of the same depth, directions and use_bias."
        )
    for name, wanted in expected.items():
        given = tensors[name]
        if given.shape != wanted.shape:
            raise ValueError(
                f"{name} of {source} has shape {given.shape}: expected {wanted.shape}. Pass the tensors of a GRU (it "
                "has three gates, an LSTM four) and, if any, layers of the same sizes."
            )
        if given.dtype != wanted.dtype:
            raise ValueError(
                f"{name} of {source} is {given.dtype}: expected {wanted.dtype}. Convert the tensor, or pass layers of "
                "its dtype."
            )


def columns(tensors, name, dimensions):
    """The size of the tensor's last dimension."""
    shape = tensors[name].shape
    if len(shape) != dimensions:
        raise ValueError(f"{name} has shape {shape}: expected {dimensions} dimensions. Pass the tensors of a GRU.")
    return shape[-1]


def dtype_of(tensors, name):
    dtype = tensors[name].dtype.name
    if dtype not in DTYPES:
        raise ValueError(f"{name} is {dtype}: expected {' or '.join(DTYPES)}. Convert the tensors.")
    return dtype


def required(package):
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"this needs the package {package}, which is not installed: pip install {package}") from error
