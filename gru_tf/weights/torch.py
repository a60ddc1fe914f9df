"""Weights from and to PyTorch: `from_torch` and `to_torch`."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gru_tf.weights.stack import DTYPES, as_stack, built_stack, columns, dtype_of, new_layer, require_same, required

_NAME = r"((?:weight|bias)_[ih]h(?:_l\d+)?(?:_reverse)?)"
_PART = "a part of {{0}}: put the weight together in PyTorch first, with torch.nn.utils.{}, for the module and {{0!r}}"
# Names that no GRU has, each with the name in it, and what they are.
_FOREIGN = {
    rf"parametrizations\.{_NAME}\.": _PART.format("parametrize.remove_parametrizations"),
    rf"{_NAME}_orig$": _PART.format("prune.remove (or remove_spectral_norm)"),
    rf"{_NAME}_[gv]$": _PART.format("remove_weight_norm"),
    r"(weight_hr_l\d+)": "the projection of an LSTM: pass the tensors of a GRU, which has none",
}


def from_torch(state_dict, layers=None, *, prefix=""):
    """Give Keras layers the weights of a `torch.nn.GRU` or a `torch.nn.GRUCell`.

    The layers then compute what the module computes in evaluation, batch first: its output is the last layer's, and
    its `h_0` and `h_n` are the layers' initial and last states. Dropout is no weight; where the module has it, put
    `keras.layers.Dropout` between the layers to train on. A cell makes one layer, which takes all steps.

    Args:
        state_dict: the module's `state_dict()`, any other mapping from its names to arrays of float32 or float64, or
            the path of a `.safetensors` file. Pickled files are not read: they can run code.
        layers: one layer or a list, one for each of the module's, built or not; None makes layers of `gru_tf.GRU`,
            inside `keras.layers.Bidirectional` where the module has two directions, which return sequences.
        prefix: what the names begin with when the module is part of a larger one, such as "encoder.gru."; tensors
            with other names are left alone.

    Returns:
        The list of layers, built.

    Raises:
        ValueError: for missing, unexpected or wrongly shaped tensors, a weight in parts (weight normalisation,
            parametrizations, pruning), another dtype than the layer's, and layers that PyTorch has no like of (see
            `to_torch`). The layers keep their weights then.
        ImportError: for a `.safetensors` file without the package safetensors.
    """
    tensors = _tensors(state_dict, prefix)
    absent = "_l0" if "weight_hh" in tensors else ""  # a cell's names end without it
    hidden, inputs = (name.removesuffix(absent) for name in ("weight_hh_l0", "weight_ih_l0"))
    units, features = columns(tensors, hidden, 2), columns(tensors, inputs, 2)
    if layers is None:
        depth = len([name for name in tensors if re.fullmatch(r"weight_ih(_l\d+)?", name)])
        use_bias = any(name.startswith("bias") for name in tensors)
        order = "bidirectional" if "weight_ih_l0_reverse" in tensors else "forward"
        layers = [new_layer(order, units, dtype_of(tensors, hidden), use_bias=use_bias) for _ in range(depth)]
    stack = as_stack(layers)
    for level in stack:
        level.build(features)
        features = level.width
    expected = {name.removesuffix(absent): array for name, array in to_torch(layers).items()}
    require_same(tensors, expected, "the state_dict")
    for direction in (direction for level in stack for direction in level.directions):
        names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if direction.cell.use_bias else [])]
        direction.weights = _from_arrays(*(tensors[(name + direction.suffix).removesuffix(absent)] for name in names))
    return [level.layer for level in stack]


def to_torch(layers, *, prefix=""):
    """Return the `state_dict` of the `torch.nn.GRU` that computes what the layers compute, one above the other.

    The module is `torch.nn.GRU(I, H, num_layers=len(layers), bias=…, batch_first=True, bidirectional=…)`. To load it,
    make tensors of the arrays with `torch.from_numpy`; to write a file, use `safetensors.numpy.save_file`.

    Args:
        layers: one built layer or a list.
        prefix: what to put before every name.

    Returns:
        A dict from names such as `weight_ih_l0` or `bias_hh_l1_reverse` to contiguous arrays of the weights' dtype.

    Raises:
        ValueError: for layers that PyTorch cannot express: reset before the product, other activations than tanh and
            sigmoid, a lone backward layer, a `merge_mode` other than "concat", and layers that differ in units, use of
            a bias or number of directions, or do not fit one on the other.
    """
    stack = built_stack(layers)
    _require_one_module(stack)
    return {
        f"{prefix}{name}{direction.suffix}": array
        for level in stack
        for direction in level.directions
        for name, array in _to_arrays(*direction.weights).items()
    }


def _require_one_module(stack):
    """The layers must be such as one `torch.nn.GRU` can hold."""
    alike = {}
    for level in stack:
        if level.order == "reverse":
            raise ValueError(
                f"{level.label} has go_backwards=True: PyTorch has no lone backward direction. Reverse the "
                "sequences and move a forward layer."
            )
        cell, directions = level.cell, len(level.directions)
        traits = {"units": cell.units, "use_bias": cell.use_bias, "number of directions": directions}
        for name, value in traits.items():
            if value != alike.setdefault(name, value):
                raise ValueError(
                    f"{level.label} has {name} {value} but layers[0] has {alike[name]}: in one torch.nn.GRU they "
                    "are equal. Move these layers one by one."
                )
        if not cell.reset_after:
            raise ValueError(
                f"{level.label} has reset_after=False: PyTorch applies the reset gate after the product. "
                "Train with reset_after=True, or use ONNX, which has both."
            )


def _swap_gates(weight):
    """Columns in the order z, r, h from r, z, h, and back."""
    first, second, candidate = np.split(weight, 3, axis=-1)
    return np.concatenate([second, first, candidate], axis=-1)


def _to_arrays(kernel, recurrent_kernel, bias=None):
    """The arrays of one direction, named as in PyTorch up to the suffix."""
    arrays = {"weight_ih": _swap_gates(kernel).T, "weight_hh": _swap_gates(recurrent_kernel).T}
    if bias is not None:
        arrays["bias_ih"], arrays["bias_hh"] = _swap_gates(bias)
    # safetensors writes the memory behind an array as it lies, transposed or not.
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _from_arrays(weight_ih, weight_hh, *biases):
    """The weights of a Keras cell from the arrays of one direction."""
    return [_swap_gates(weight) for weight in (weight_ih.T, weight_hh.T, *([np.stack(biases)] if biases else []))]


def _tensors(state_dict, prefix):
    """The tensors whose names begin with the prefix, as arrays under the rest of their names."""
    if isinstance(state_dict, (str, os.PathLike)):
        if Path(state_dict).suffix != ".safetensors":
            raise ValueError(
                f"state_dict={os.fspath(state_dict)!r} is no .safetensors file, and a pickled one can run code: in "
                "PyTorch, write it with safetensors.torch.save_file."
            )
        with required("safetensors").safe_open(state_dict, framework="numpy") as file:
            return _named_arrays(list(file.keys()), file.get_tensor, prefix)
    if not isinstance(state_dict, Mapping):
        given = type(state_dict).__name__
        raise TypeError(f"state_dict is a {given}: pass the state_dict() of a torch.nn.GRU, or a path.")
    return _named_arrays(list(state_dict), state_dict.__getitem__, prefix)


def _named_arrays(names, get, prefix):
    """The arrays under the prefix, if they are those of a GRU or a GRUCell."""
    _require_names(names, prefix)
    arrays = {}
    for name in names:
        if name.startswith(prefix):
            try:
                arrays[name.removeprefix(prefix)] = np.asarray(get(name))
            except (TypeError, RuntimeError) as error:
                raise ValueError(
                    f"{name} is no NumPy array of {' or '.join(DTYPES)} ({error}): convert it in PyTorch, with "
                    ".detach().cpu().float()."
                ) from error
    return arrays


def _require_names(names, prefix):
    """The names must be such as every GRU has, each weight whole."""
    for pattern, meaning in _FOREIGN.items():
        for name in names:
            if name.startswith(prefix) and (match := re.search(pattern, name)):
                raise ValueError(f"the state_dict holds {name}, {meaning.format(match[1])}.")
    suffix = "" if {prefix + "weight_ih", prefix + "weight_hh"} & {*names} else "_l0"
    for stem in ("weight_ih", "weight_hh"):
        needed = prefix + stem + suffix
        if needed not in names:
            found = (re.fullmatch(rf"(.*){stem}(?:_l0)?", name) for name in names)
            others = sorted({repr(match[1]) for match in found if match})
            remedy = f"pass prefix={' or '.join(others)}" if others else "pass the state_dict() of a torch.nn.GRU"
            raise ValueError(f"the state_dict has no {needed}, which every GRU has: {remedy}.")
