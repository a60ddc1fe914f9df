"""Weights from and to ONNX: `from_onnx` and `to_onnx`."""

import numpy as np

from gru_tf.weights.onnx_reader import read_nodes
from gru_tf.weights.stack import as_stack, built_stack, columns, require_same, required

_OPSET = 14  # the oldest whose GRU is today's, so that the most runtimes read the model
_IR = 7


def from_onnx(model, layers=None):
    """Give Keras layers the weights of the `GRU` nodes of an ONNX model, in the order of its graph.

    A node with `direction="reverse"` is a layer with `go_backwards`; such a layer puts its sequence out in the order
    in which it was computed, the node in the order of the input. A node with `linear_before_reset=0` adds its two
    biases, and so does its layer's one bias.

    Nodes of other operators are left alone. What a node is fed or the graph computes anew for each call, a layer takes
    at each call too: `initial_h` as its initial state, `sequence_lens` as its mask.

    Args:
        model: an `onnx.ModelProto`, the path of one, or the bytes of such a file.
        layers: one layer or a list, one for each node, built or not; None makes layers of `gru_tf.GRU`, inside
            `keras.layers.Bidirectional` where the node has two directions, which return sequences.

    Returns:
        The list of layers, built.

    Raises:
        ValueError: for a model without such a node or with one inside a branch or a loop, weights that are not
            constants, of a wrong shape or of a dtype other than the layer's, and for what a layer has not: an
            `initial_h` that is always the same and not zeros, a constant `sequence_lens` that ends before the steps
            do, a clip, other activations, another direction or reset convention than the layer's. The layers keep
            their weights then.
        ImportError: without the package onnx.
    """
    onnx = required("onnx")
    nodes = read_nodes(onnx, model)
    stack = as_stack([node.new_layer() for node in nodes] if layers is None else layers)
    if len(stack) != len(nodes):
        raise ValueError(f"layers has {len(stack)} layers, the model {len(nodes)} GRU nodes: pass one for each.")
    for level, node in zip(stack, nodes, strict=True):
        node.require_conventions(level)
        level.build(columns(node.tensors, "W", 3))
        require_same(node.tensors, _arrays(level), node.label)
    for level, node in zip(stack, nodes, strict=True):
        for place, direction in enumerate(level.directions):
            arrays = {name: array[place] for name, array in node.tensors.items()}
            direction.weights = _from_arrays(**arrays, reset_after=direction.cell.reset_after)
    return [level.layer for level in stack]


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
    onnx = required("onnx")
    stack = built_stack(layers)
    _require_sequences(stack, sequence_lens)
    kernel, returns_sequence = stack[0].cell.kernel, stack[-1].layer.return_sequences
    dtype = {"float32": "float", "float64": "double"}[kernel.dtype]
    inputs = [f"{dtype}[batch, steps, {kernel.shape[0]}] sequences"]
    inputs += ["int32[batch] sequence_lens"] if sequence_lens else []
    outputs = [f"{dtype}[batch, {'steps, ' if returns_sequence else ''}{stack[-1].width}] output"]
    nodes = ["hidden_l0 = Transpose <perm = [1, 0, 2]> (sequences)"]
    weights = []
    for level in stack:
        k, size = level.k, f"{len(level.directions)}, batch, {level.cell.units}"
        if states:
            inputs.append(f"{dtype}[{size}] initial_state_l{k}")
            outputs.append(f"{dtype}[{size}] state_l{k}")
        nodes += _nodes(level, sequence_lens, states)
        weights += [onnx.numpy_helper.from_array(array, f"{name}_l{k}") for name, array in _arrays(level).items()]
    nodes += [f"output = Transpose <perm = [1, 0, 2]> (hidden_l{len(stack)})"] if returns_sequence else []
    model = onnx.parser.parse_model(
        f'<ir_version: {_IR}, opset_import: ["" : {_OPSET}], producer_name: "gru_tf">\n'
        f"gru ({', '.join(inputs)}) => ({', '.join(outputs)}) {{\n" + "\n".join(nodes) + "\n}"
    )
    model.graph.initializer.extend(weights)
    return model


def _require_sequences(stack, sequence_lens):
    """Each layer but the last must hand on its sequence, and with lengths one whose padding comes last."""
    for level in stack[:-1]:
        if not level.layer.return_sequences:
            raise ValueError(f"{level.label} has a layer above it: make it with return_sequences=True.")
        if sequence_lens and level.order == "reverse":
            raise ValueError(
                f"{level.label} has go_backwards=True and a layer above it: that one would get the padding first. "
                "Pass sequence_lens=False."
            )


def _arrays(level):
    """W, R and, if the cells have a bias, B, with the directions along the first axis."""
    kernels, recurrent_kernels, *biases = zip(*(direction.weights for direction in level.directions), strict=True)
    arrays = {"W": [w.T for w in kernels], "R": [u.T for u in recurrent_kernels]}
    if biases:
        # The one bias of a cell with reset before is ONNX's input bias.
        arrays["B"] = [b.ravel() if b.ndim == 2 else np.concatenate([b, np.zeros_like(b)]) for b in biases[0]]
    return {name: np.stack(array) for name, array in arrays.items()}


def _from_arrays(reset_after, W, R, B=None):
    """The weights of a Keras cell from the arrays of one direction."""
    weights = [W.T, R.T]
    if B is not None:
        bias = B.reshape(2, -1)
        weights.append(bias if reset_after else bias.sum(axis=0))
    return weights


def _nodes(level, sequence_lens, states):
    """The nodes, in ONNX's textual form, from `hidden_lk` to `hidden_l(k+1)`, (T, B, features), or to `output`."""
    k, cell = level.k, level.cell
    bias = f"B_l{k}" if cell.use_bias else '""'
    lengths = "sequence_lens" if sequence_lens else '""'
    initial_state = f"initial_state_l{k}" if states else '""'
    gru = (
        f"[gru_l{k}] steps_l{k}, state_l{k} = GRU <hidden_size = {cell.units}, "
        f'direction = "{level.order}", linear_before_reset = {int(cell.reset_after)}> '
        f"(hidden_l{k}, W_l{k}, R_l{k}, {bias}, {lengths}, {initial_state})"
    )
    if not level.layer.return_sequences:
        return [gru, *_join(f"state_l{k}", [1, 0, 2], "output")]
    if level.order != "reverse":
        return [gru, *_join(f"steps_l{k}", [0, 2, 1, 3], f"hidden_l{k + 1}")]
    return [
        gru,
        f"last_l{k} = Constant <value_ints = [-1]> ()",
        f"before_first_l{k} = Constant <value_ints = [{-np.iinfo(np.int64).max}]> ()",
        f"time_l{k} = Constant <value_ints = [0]> ()",
        f"as_computed_l{k} = Slice (steps_l{k}, last_l{k}, before_first_l{k}, time_l{k}, last_l{k})",
        *_join(f"as_computed_l{k}", [0, 2, 1, 3], f"hidden_l{k + 1}"),
    ]


def _join(source, axes, joined):
    """Nodes that bring the axes D and H to the end and make them one."""
    return [
        f"{joined}_apart = Transpose <perm = {axes}> ({source})",
        f"{joined}_shape = Constant <value_ints = {[0] * (len(axes) - 2) + [-1]}> ()",
        f"{joined} = Reshape ({joined}_apart, {joined}_shape)",
    ]
