"""Weights from and to PyTorch and ONNX: `from_torch`, `to_torch`, `from_onnx` and `to_onnx`.

All four deal with a stack: a list of layers, the first below. A layer is a `gru_tf.GRU`, a `keras.layers.GRU`, a
`keras.layers.RNN` around one of their cells, or a `keras.layers.Bidirectional` around one of these. Each library
keeps the same numbers in its own places, for D directions:

=================  ====================================  ========================  =====================
what               Keras, for each direction             PyTorch, each direction   ONNX, both together
=================  ====================================  ========================  =====================
gates              columns z, r, h                       rows r, z, n              rows z, r, h
input weights      ``kernel`` (I, 3H)                    ``weight_ih`` (3H, I)     ``W`` (D, 3H, I)
recurrent weights  ``recurrent_kernel`` (H, 3H)          ``weight_hh`` (3H, H)     ``R`` (D, 3H, H)
biases             ``bias`` (2, 3H) or (3H,)             ``bias_ih``, ``bias_hh``  ``B`` (D, 6H)
reset gate         ``reset_after``: after or before      after the product         ``linear_before_reset``
update gate        keeps the state; may write (gru_tf)   keeps the state           keeps the state
=================  ====================================  ========================  =====================

A layer with `update_gate="write"` has its update gate's weights negated on the way, because σ(-a) = 1 - σ(a). What goes
out and comes back is the same to the last bit.

Sources: the pages of `torch.nn.GRU` (PyTorch 2.13) and of the operator `GRU` (ONNX, opset 14).
"""

import importlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from gru_tf.cell import GRUCell
from gru_tf.layer import GRU

_DTYPES = ("float32", "float64")
_ONNX_OPSET = 14  # the oldest whose GRU is today's, so that the most runtimes read the model
_ONNX_IR = 7


def from_torch(state_dict, layers=None, *, prefix=""):
    """Give Keras layers the weights of a `torch.nn.GRU`.

    The layers then compute what the module computes in evaluation, batch first: its output is the last layer's, and
    its `h_0` and `h_n` are the layers' initial and last states. Dropout is no weight; where the module has it, put
    `keras.layers.Dropout` between the layers to train on.

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
        ValueError: for missing, unexpected or wrongly shaped tensors, another dtype than the layer's, and layers that
            PyTorch has no like of (see `to_torch`). The layers keep their weights then.
        ImportError: for a `.safetensors` file without the package safetensors.
    """
    tensors = _torch_tensors(state_dict, prefix)
    units, features = (_columns(tensors, name, 2) for name in ("weight_hh_l0", "weight_ih_l0"))
    if layers is None:
        depth = len([name for name in tensors if re.fullmatch(r"weight_ih_l\d+", name)])
        use_bias = any(name.startswith("bias") for name in tensors)
        dtype = _dtype(tensors, "weight_hh_l0")
        direction = "bidirectional" if "weight_ih_l0_reverse" in tensors else "forward"
        layers = [_layer(direction, units, dtype, use_bias=use_bias) for _ in range(depth)]
    layers = _listed(layers)
    for k, layer in enumerate(layers):
        cells = _cells(layer, k)
        _build(layer, features)
        features = _width(cells)
    _require_same(tensors, to_torch(layers), "the state_dict")
    for k, layer in enumerate(layers):
        for cell, suffix in zip(_cells(layer, k), _torch_suffixes(k), strict=False):
            names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if cell.use_bias else [])]
            _set_weights(cell, _from_torch_arrays(*(tensors[name + suffix] for name in names)))
    return layers


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
    layers = _listed(layers)
    stack = _checked_stack(layers)
    _require_torch(layers, stack)
    return {
        f"{prefix}{name}{suffix}": array
        for k, cells in enumerate(stack)
        for cell, suffix in zip(cells, _torch_suffixes(k), strict=False)
        for name, array in _to_torch_arrays(*_get_weights(cell)).items()
    }


def from_onnx(model, layers=None):
    """Give Keras layers the weights of the `GRU` nodes of an ONNX model, in the order of its graph.

    A node with `direction="reverse"` is a layer with `go_backwards`; such a layer puts its sequence out in the order
    in which it was computed, the node in the order of the input. A node with `linear_before_reset=0` adds its two
    biases, and so does its layer's one bias.

    Args:
        model: an `onnx.ModelProto` or the path of one.
        layers: one layer or a list, one for each node, built or not; None makes layers of `gru_tf.GRU`, inside
            `keras.layers.Bidirectional` where the node has two directions, which return sequences.

    Returns:
        The list of layers, built.

    Raises:
        ValueError: for a model without such a node, weights that are not constants, of a wrong shape or of a dtype
            other than the layer's, and for what a layer has not: a clip, other activations, another direction or reset
            convention than the layer's. The layers keep their weights then.
        ImportError: without the package onnx.
    """
    onnx = _import("onnx")
    if isinstance(model, (str, os.PathLike)):
        model = onnx.load(model)
    constants = _onnx_constants(model.graph)
    nodes = [_onnx_node(onnx, node, constants) for node in model.graph.node if _is_gru(node)]
    if not nodes:
        raise ValueError("model has no GRU node in its main graph: pass a model that was exported with one.")
    if layers is None:
        layers = [_onnx_layer(*node) for node in nodes]
    layers = _listed(layers)
    if len(layers) != len(nodes):
        raise ValueError(f"layers has {len(layers)} layers, the model {len(nodes)} GRU nodes: pass one for each.")
    for k, (layer, (name, attributes, tensors)) in enumerate(zip(layers, nodes, strict=True)):
        cells = _cells(layer, k)
        _require_conventions(name, attributes, layer, cells, k)
        _build(layer, _columns(tensors, "W", 3))
        _require_same(tensors, _onnx_arrays(cells), name)
    for k, (layer, (_, _, tensors)) in enumerate(zip(layers, nodes, strict=True)):
        for direction, cell in enumerate(_cells(layer, k)):
            of_direction = {name: array[direction] for name, array in tensors.items()}
            _set_weights(cell, _from_onnx_arrays(**of_direction, reset_after=cell.reset_after))
    return layers


def to_onnx(layers, *, sequence_lens=False, states=False):
    """Return an ONNX model that computes what the layers compute at inference, with a `GRU` node for each.

    Its input `sequences` is (B, T, I) and its output `output` what the last layer puts out, (B, T, D·H) or, without
    `return_sequences`, (B, D·H), in the weights' dtype. Write it to a file with `onnx.save`.

    Args:
        layers: one built layer or a list.
        sequence_lens: whether the model has an input `sequence_lens`, int32 (B,), the number of real steps of each
            row, at least one; padding follows them. It acts as a mask does in Keras, except that a sequence is
            always zeros at its padded steps, and a last output always that of the last real step, whatever
            `zero_output_for_mask` says.
        states: whether each layer k has an input `initial_state_lk` and an output `state_lk`, (D, B, H): the
            states before the first step and after the last. Without, the layers start from zeros.

    Returns:
        An `onnx.ModelProto` for opset 14. (onnxruntime 1.31 runs GRU nodes in float32 only.)

    Raises:
        ValueError: for activations other than tanh and sigmoid, a `merge_mode` other than "concat", layers that do not
            fit one on the other, and `sequence_lens` with a backward layer below another: what that one puts out
            begins with the padding.
        ImportError: without the package onnx.
    """
    onnx = _import("onnx")
    layers = _listed(layers)
    stack = _checked_stack(layers)
    _require_sequences(layers, sequence_lens)
    dtype = {"float32": "float", "float64": "double"}[stack[0][0].kernel.dtype]
    inputs = [f"{dtype}[batch, steps, {stack[0][0].kernel.shape[0]}] sequences"]
    inputs += ["int32[batch] sequence_lens"] if sequence_lens else []
    outputs = [f"{dtype}[batch, {'steps, ' if layers[-1].return_sequences else ''}{_width(stack[-1])}] output"]
    nodes = ["hidden_l0 = Transpose <perm = [1, 0, 2]> (sequences)"]
    weights = []
    for k, (layer, cells) in enumerate(zip(layers, stack, strict=True)):
        if states:
            inputs.append(f"{dtype}[{len(cells)}, batch, {cells[0].units}] initial_state_l{k}")
            outputs.append(f"{dtype}[{len(cells)}, batch, {cells[0].units}] state_l{k}")
        nodes += _onnx_nodes(layer, cells, k, sequence_lens, states)
        weights += [onnx.numpy_helper.from_array(array, f"{name}_l{k}") for name, array in _onnx_arrays(cells).items()]
    nodes += [f"output = Transpose <perm = [1, 0, 2]> (hidden_l{k + 1})"] if layer.return_sequences else []
    model = onnx.parser.parse_model(
        f'<ir_version: {_ONNX_IR}, opset_import: ["" : {_ONNX_OPSET}], producer_name: "gru_tf">\n'
        f"gru ({', '.join(inputs)}) => ({', '.join(outputs)}) {{\n" + "\n".join(nodes) + "\n}"
    )
    model.graph.initializer.extend(weights)
    return model


def _listed(layers):
    layers = list(layers) if isinstance(layers, (list, tuple)) else [layers]
    if not layers:
        raise ValueError("layers is empty: pass at least one layer.")
    return layers


def _label(layer, k):
    return f"layers[{k}] ({layer.name!r})"


def _layer(direction, units, dtype, **options):
    layer = GRU(units, return_sequences=True, go_backwards=direction == "reverse", dtype=dtype, **options)
    return keras.layers.Bidirectional(layer, dtype=dtype) if direction == "bidirectional" else layer


def _direction(layer):
    """What ONNX calls the order in which a layer takes the steps."""
    if isinstance(layer, keras.layers.Bidirectional):
        return "bidirectional"
    return "reverse" if layer.go_backwards else "forward"


def _cells(layer, k):
    """The cells of a layer, one for each direction, forward first, if PyTorch or ONNX can say what they compute."""
    is_bidirectional = isinstance(layer, keras.layers.Bidirectional)
    units = [layer.forward_layer, layer.backward_layer] if is_bidirectional else [layer]
    cells = [getattr(unit, "cell", None) for unit in units]
    label = _label(layer, k)
    for cell in cells:
        if not isinstance(cell, (GRUCell, keras.layers.GRUCell)):
            raise ValueError(
                f"{label} is a {type(layer).__name__} that is no GRU: pass gru_tf.GRU or keras.layers.GRU, each alone "
                "or in keras.layers.Bidirectional."
            )
        for option, name in {"activation": "tanh", "recurrent_activation": "sigmoid"}.items():
            if getattr(cell, option) is not keras.activations.get(name):
                given = keras.activations.serialize(getattr(cell, option))
                raise ValueError(f"{label} has {option}={given!r}: only {name!r} can be moved. Train with that.")
    if is_bidirectional:
        if layer.merge_mode != "concat":
            raise ValueError(f"{label} has merge_mode={layer.merge_mode!r}: make it with merge_mode='concat'.")
        if layer.forward_layer.go_backwards:
            raise ValueError(f"{label} has a forward layer with go_backwards=True: swap the two layers.")
        for option in ("units", "use_bias", "reset_after"):
            forward, backward = (getattr(cell, option) for cell in cells)
            if forward != backward:
                raise ValueError(
                    f"{label} has {option}={forward!r} forward and {backward!r} backward: make both directions alike."
                )
    return cells


def _width(cells):
    """The number of features that a layer of these cells puts out."""
    return cells[0].units * len(cells)


def _build(layer, features):
    if not layer.built:
        layer.build((None, None, features))


def _checked_stack(layers):
    """The cells of each layer, if the layers have weights of one dtype and fit one on the other."""
    stack = [_cells(layer, k) for k, layer in enumerate(layers)]
    for k, (layer, cells) in enumerate(zip(layers, stack, strict=True)):
        label = _label(layer, k)
        if not layer.built:
            raise ValueError(f"{label} has no weights yet: call it, or build it with the shape (None, None, I).")
        for cell in cells:
            if cell.kernel.dtype not in _DTYPES or cell.kernel.dtype != stack[0][0].kernel.dtype:
                raise ValueError(
                    f"kernel of {label} is {cell.kernel.dtype}, that of layers[0] {stack[0][0].kernel.dtype}: "
                    f"all weights must be of one dtype, {' or '.join(_DTYPES)}. Make the layers with that dtype."
                )
        features = cells[0].kernel.shape[0]
        if k and features != _width(stack[k - 1]):
            raise ValueError(
                f"kernel of {label} has {features} rows: expected {_width(stack[k - 1])}, what the layer below puts "
                "out. Pass the layers of one stack, the first below."
            )
    return stack


def _require_torch(layers, stack):
    """The layers must be such as one `torch.nn.GRU` can hold."""
    alike = {}
    for k, (layer, cells) in enumerate(zip(layers, stack, strict=True)):
        if _direction(layer) == "reverse":
            raise ValueError(
                f"{_label(layer, k)} has go_backwards=True: PyTorch has no lone backward direction. Reverse the "
                "sequences and move a forward layer."
            )
        traits = {"units": cells[0].units, "use_bias": cells[0].use_bias, "number of directions": len(cells)}
        for name, value in traits.items():
            if value != alike.setdefault(name, value):
                raise ValueError(
                    f"{_label(layer, k)} has {name} {value} but layers[0] has {alike[name]}: in one torch.nn.GRU they "
                    "are equal. Move these layers one by one."
                )
        if not cells[0].reset_after:
            raise ValueError(
                f"{_label(layer, k)} has reset_after=False: PyTorch applies the reset gate after the product. "
                "Train with reset_after=True, or use ONNX, which has both."
            )


def _require_sequences(layers, sequence_lens):
    """Each layer but the last must hand on its sequence, and with lengths one whose padding comes last."""
    for k, layer in enumerate(layers[:-1]):
        if not layer.return_sequences:
            raise ValueError(f"{_label(layer, k)} has a layer above it: make it with return_sequences=True.")
        if sequence_lens and _direction(layer) == "reverse":
            raise ValueError(
                f"{_label(layer, k)} has go_backwards=True and a layer above it: that one would get the padding first. "
                "Pass sequence_lens=False."
            )


def _require_same(tensors, expected, source):
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


def _columns(tensors, name, dimensions):
    """The size of the tensor's last dimension."""
    shape = tensors[name].shape
    if len(shape) != dimensions:
        raise ValueError(f"{name} has shape {shape}: expected {dimensions} dimensions. Pass the tensors of a GRU.")
    return shape[-1]


def _dtype(tensors, name):
    dtype = tensors[name].dtype.name
    if dtype not in _DTYPES:
        raise ValueError(f"{name} is {dtype}: expected {' or '.join(_DTYPES)}. Convert the tensors.")
    return dtype


def _get_weights(cell):
    """Kernel, recurrent kernel and, if there is one, bias, of a cell whose update gate keeps the state."""
    variables = [cell.kernel, cell.recurrent_kernel, *([cell.bias] if cell.use_bias else [])]
    return _with_polarity(cell, [variable.numpy() for variable in variables])


def _set_weights(cell, weights):
    """Give the cell the weights of one whose update gate keeps the state."""
    variables = [cell.kernel, cell.recurrent_kernel, *([cell.bias] if cell.use_bias else [])]
    for variable, weight in zip(variables, _with_polarity(cell, weights), strict=True):
        variable.assign(weight)


def _with_polarity(cell, weights):
    """The weights with the update gate's columns negated if the cell's open gate writes; its own inverse."""
    if getattr(cell, "update_gate", "keep") == "keep":
        return weights
    signs = np.repeat([-1, 1, 1], cell.units)
    return [weight * signs.astype(weight.dtype) for weight in weights]


def _swap_gates(weight):
    """Columns in the order z, r, h from r, z, h, and back."""
    first, second, candidate = np.split(weight, 3, axis=-1)
    return np.concatenate([second, first, candidate], axis=-1)


def _torch_suffixes(k):
    return [f"_l{k}", f"_l{k}_reverse"]


def _to_torch_arrays(kernel, recurrent_kernel, bias=None):
    """The arrays of one layer and direction, named as in PyTorch up to the suffix."""
    arrays = {"weight_ih": _swap_gates(kernel).T, "weight_hh": _swap_gates(recurrent_kernel).T}
    if bias is not None:
        arrays["bias_ih"], arrays["bias_hh"] = _swap_gates(bias)
    # safetensors writes the memory behind an array as it lies, transposed or not.
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _from_torch_arrays(weight_ih, weight_hh, *biases):
    """The weights of a Keras cell from the arrays of one layer and direction."""
    return [_swap_gates(weight) for weight in (weight_ih.T, weight_hh.T, *([np.stack(biases)] if biases else []))]


def _torch_tensors(state_dict, prefix):
    """The tensors whose names begin with the prefix, as arrays under the rest of their names."""
    if isinstance(state_dict, (str, os.PathLike)):
        if Path(state_dict).suffix != ".safetensors":
            raise ValueError(
                f"state_dict={os.fspath(state_dict)!r} is no .safetensors file, and a pickled one can run code: in "
                "PyTorch, write it with safetensors.torch.save_file."
            )
        with _import("safetensors").safe_open(state_dict, framework="numpy") as file:
            return _named_arrays(file.keys(), file.get_tensor, prefix)
    if not isinstance(state_dict, Mapping):
        given = type(state_dict).__name__
        raise TypeError(f"state_dict is a {given}: pass the state_dict() of a torch.nn.GRU, or a path.")
    return _named_arrays(state_dict, state_dict.__getitem__, prefix)


def _named_arrays(names, get, prefix):
    """The arrays under the prefix, among them those that every GRU has."""
    names = list(names)
    for needed in ("weight_ih_l0", "weight_hh_l0"):
        if prefix + needed not in names:
            others = sorted({repr(name.removesuffix(needed)) for name in names if name.endswith(needed)})
            remedy = f"pass prefix={' or '.join(others)}" if others else "pass the state_dict() of a torch.nn.GRU"
            raise ValueError(f"the state_dict has no {prefix + needed}, which every GRU has: {remedy}.")
    arrays = {}
    for name in names:
        if name.startswith(prefix):
            try:
                arrays[name.removeprefix(prefix)] = np.asarray(get(name))
            except (TypeError, RuntimeError) as error:
                raise ValueError(
                    f"{name} is no NumPy array of {' or '.join(_DTYPES)} ({error}): convert it in PyTorch, with "
                    ".detach().cpu().float()."
                ) from error
    return arrays


def _is_gru(node):
    return node.op_type == "GRU" and node.domain in ("", "ai.onnx")


def _onnx_constants(graph):
    """The tensors that the graph holds, by the name of their value."""
    nodes = [node for node in graph.node if node.op_type == "Constant"]
    tensors = [(node.output[0], a.t) for node in nodes for a in node.attribute if a.name == "value"]
    return dict(tensors) | {tensor.name: tensor for tensor in graph.initializer}


def _onnx_node(onnx, node, constants):
    """What names a GRU node in errors, its attributes, and its constant inputs W, R and, if it has it, B."""
    label = f"GRU node {node.name or node.output[0]!r}"
    attributes = {"direction": b"forward", "linear_before_reset": 0, "clip": None}
    attributes |= {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    attributes["direction"] = attributes["direction"].decode()
    if attributes["clip"] is not None:
        raise ValueError(f"{label} has clip={attributes['clip']}, which no layer has: export it without.")
    activations = [name.decode().lower() for name in attributes.get("activations", [])]
    if activations not in ([], ["sigmoid", "tanh"], ["sigmoid", "tanh"] * 2):
        raise ValueError(
            f"{label} has activations={activations}: only sigmoid and tanh can be moved. Train with these."
        )
    tensors = {}
    for name, value in zip(("W", "R", "B"), node.input[1:4], strict=False):
        if value not in constants and (value or name != "B"):
            raise ValueError(
                f"{name} of {label} is {value!r}, which the model does not hold: expected a constant. Fold the model's "
                "constants first, as onnxsim does."
            )
        if value:
            tensors[name] = onnx.numpy_helper.to_array(constants[value])
    return label, attributes, tensors


def _onnx_layer(label, attributes, tensors):
    return _layer(
        attributes["direction"],
        _columns(tensors, "R", 3),
        _dtype(tensors, "R"),
        use_bias="B" in tensors,
        reset_after=bool(attributes["linear_before_reset"]),
    )


def _require_conventions(label, attributes, layer, cells, k):
    """The layer must run in the node's direction and reset where the node does."""
    resets = {True: "after", False: "before"}
    pairs = {
        "direction": (attributes["direction"], _direction(layer)),
        "reset gate": (resets[bool(attributes["linear_before_reset"])], resets[bool(cells[0].reset_after)]),
    }
    for name, (expected, given) in pairs.items():
        if given != expected:
            raise ValueError(
                f"{_label(layer, k)} has {name} {given!r}: {label} expects {expected!r}. Make the layer with the "
                "node's go_backwards (or Bidirectional) and reset_after."
            )


def _onnx_arrays(cells):
    """W, R and, if the cells have a bias, B, with the directions along the first axis."""
    weights = [_get_weights(cell) for cell in cells]
    kernels, recurrent_kernels, *biases = zip(*weights, strict=True)
    arrays = {"W": [w.T for w in kernels], "R": [u.T for u in recurrent_kernels]}
    if biases:
        # The one bias of a cell with reset before is ONNX's input bias.
        arrays["B"] = [b.ravel() if b.ndim == 2 else np.concatenate([b, np.zeros_like(b)]) for b in biases[0]]
    return {name: np.stack(array) for name, array in arrays.items()}


def _from_onnx_arrays(reset_after, W, R, B=None):
    """The weights of a Keras cell from the arrays of one direction."""
    weights = [W.T, R.T]
    if B is not None:
        bias = B.reshape(2, -1)
        weights.append(bias if reset_after else bias.sum(axis=0))
    return weights


def _onnx_nodes(layer, cells, k, sequence_lens, states):
    """The nodes, in ONNX's textual form, from `hidden_lk` to `hidden_l(k+1)`, (T, B, features), or to `output`."""
    bias = f"B_l{k}" if cells[0].use_bias else '""'
    lengths = "sequence_lens" if sequence_lens else '""'
    initial_state = f"initial_state_l{k}" if states else '""'
    gru = (
        f"[gru_l{k}] steps_l{k}, state_l{k} = GRU <hidden_size = {cells[0].units}, "
        f'direction = "{_direction(layer)}", linear_before_reset = {int(cells[0].reset_after)}> '
        f"(hidden_l{k}, W_l{k}, R_l{k}, {bias}, {lengths}, {initial_state})"
    )
    if not layer.return_sequences:
        return [gru, *_onnx_join(f"state_l{k}", [1, 0, 2], "output")]
    if _direction(layer) != "reverse":
        return [gru, *_onnx_join(f"steps_l{k}", [0, 2, 1, 3], f"hidden_l{k + 1}")]
    return [
        gru,
        f"last_l{k} = Constant <value_ints = [-1]> ()",
        f"before_first_l{k} = Constant <value_ints = [{-np.iinfo(np.int64).max}]> ()",
        f"time_l{k} = Constant <value_ints = [0]> ()",
        f"as_computed_l{k} = Slice (steps_l{k}, last_l{k}, before_first_l{k}, time_l{k}, last_l{k})",
        *_onnx_join(f"as_computed_l{k}", [0, 2, 1, 3], f"hidden_l{k + 1}"),
    ]


def _onnx_join(source, axes, joined):
    """Nodes that bring the axes D and H to the end and make them one."""
    return [
        f"{joined}_apart = Transpose <perm = {axes}> ({source})",
        f"{joined}_shape = Constant <value_ints = {[0] * (len(axes) - 2) + [-1]}> ()",
        f"{joined} = Reshape ({joined}_apart, {joined}_shape)",
    ]


def _import(package):
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"this needs the package {package}, which is not installed: pip install {package}") from error
