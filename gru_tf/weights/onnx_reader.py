"""What the GRU nodes of an ONNX model say of their layers, and the refusal of all that no layer can hold."""

import os
from dataclasses import dataclass

import numpy as np

from gru_tf.weights.stack import columns, dtype_of, new_layer, required

_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h")
_ATTRIBUTES = {"activations", "hidden_size", "layout", "output_sequence"}  # and those that `Node` has


@dataclass
class Node:
    """What a GRU node says of its layer; `label` names it in errors."""

    label: str
    order: str
    reset_after: bool
    tensors: dict  # W, R and, if the node has it, B

    def new_layer(self):
        units, dtype = columns(self.tensors, "R", 3), dtype_of(self.tensors, "R")
        return new_layer(self.order, units, dtype, use_bias="B" in self.tensors, reset_after=self.reset_after)

    def require_conventions(self, level):
        """The layer must run in the node's direction and reset where the node does."""
        resets = {True: "after", False: "before"}
        pairs = {
            "direction": (self.order, level.order),
            "reset gate": (resets[self.reset_after], resets[bool(level.cell.reset_after)]),
        }
        for name, (expected, given) in pairs.items():
            if given != expected:
                raise ValueError(
                    f"{level.label} has {name} {given!r}: {self.label} expects {expected!r}. Make the layer "
                    "with the node's go_backwards (or Bidirectional) and reset_after."
                )


def read_nodes(onnx, model):
    """The GRU nodes of the main graph."""
    model = _loaded(onnx, model)
    inner = next((node for node in _inner_nodes(model.graph) if _is_gru(node)), None)
    if inner is not None:
        raise ValueError(f"{_label(inner)} is inside a branch or a loop: export it outside of any.")
    nodes = [_read_node(onnx, model, node) for node in model.graph.node if _is_gru(node)]
    if not nodes:
        raise ValueError("model has no GRU node in its main graph: pass a model that was exported with one.")
    return nodes


def _loaded(onnx, model):
    """The model, its functions written out."""
    if isinstance(model, (str, os.PathLike)):
        model = onnx.load(model)
    elif isinstance(model, (bytes, bytearray)):
        model = onnx.load_from_string(bytes(model))
    elif not isinstance(model, onnx.ModelProto):
        raise TypeError(f"model is a {type(model).__name__}: pass an onnx.ModelProto, the path of one or its bytes.")
    return required("onnx.inliner").inline_local_functions(model) if model.functions else model


def _inner_nodes(graph):
    """The nodes of the graphs that the nodes of a graph hold."""
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        for inner in (attribute.g, *attribute.graphs):
            yield from inner.node
            yield from _inner_nodes(inner)


def _is_gru(node):
    return node.op_type == "GRU" and node.domain in ("", "ai.onnx")


def _label(node):
    return f"GRU node {node.name or node.output[0] or node.output[1]!r}"


def _read_node(onnx, model, node):
    label, inputs = _label(node), dict(zip(_INPUTS, node.input, strict=False))
    given = ["W", "R", *(["B"] if inputs.get("B") else [])]
    tensors = {name: _constant(onnx, model, inputs[name], f"{name} of {label}") for name in given}
    for name, tensor in tensors.items():
        if tensor is None:
            raise ValueError(
                f"{name} of {label} is {inputs[name]!r}, which depends on what the model is fed: expected a constant."
            )
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    order = attributes.pop("direction", b"forward").decode()
    reset_after = bool(attributes.pop("linear_before_reset", 0))
    _require_attributes(attributes, label, columns(tensors, "R", 3))
    _require_start(onnx, model, inputs.get("initial_h"), label)
    _require_whole(onnx, model, inputs, attributes.get("layout", 0), label)
    return Node(label, order, reset_after, tensors)


def _require_attributes(attributes, label, units):
    """What else the node says of its function must be what a layer does."""
    for name, value in attributes.items():
        if name not in _ATTRIBUTES:
            raise ValueError(f"{label} has {name}={value}, which no layer has: export it without.")
    activations = [name.decode().lower() for name in attributes.get("activations", [])]
    if activations not in ([], ["sigmoid", "tanh"], ["sigmoid", "tanh"] * 2):
        raise ValueError(
            f"{label} has activations={activations}: only sigmoid and tanh can be moved. Train with these."
        )
    if attributes.get("hidden_size", units) != units:
        raise ValueError(f"{label} has hidden_size={attributes['hidden_size']}, but its R is for {units}: mend one.")


def _require_start(onnx, model, initial_h, label):
    """The node must start from zeros, or from a state that is fed or computed for each call."""
    start = _constant(onnx, model, initial_h, f"initial_h of {label}", any_sizes=True) if initial_h else None
    if start is not None and np.any(start):
        raise ValueError(
            f"initial_h of {label} is {initial_h!r}, which is always the same and not zeros, and no layer holds an "
            "initial state: clear that input of the node, and pass the state to each call of the layer."
        )


def _require_whole(onnx, model, inputs, layout, label):
    """The node must take all steps, or as many as it is told for each call."""
    lengths = inputs.get("sequence_lens")
    lengths = _constant(onnx, model, lengths, f"sequence_lens of {label}") if lengths else None
    if lengths is None:
        return
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {value.name: value.type.tensor_type.shape.dim for value in (*inferred.input, *inferred.value_info)}
    sizes = [size.dim_value for size in shapes.get(inputs["X"], [])]
    if not sizes or np.any(lengths != sizes[1 if layout else 0]):
        raise ValueError(
            f"sequence_lens of {label} is always {lengths.tolist()}, and no layer holds a mask: clear that input of "
            "the node, and pass the mask to each call of the layer."
        )


def _constant(onnx, model, value, label, any_sizes=False):
    """The array that a value of the graph always is, or None if it depends on what is fed to the model.

    With `any_sizes` the sizes of axes, such as the batch, count as nothing that is fed: each is taken to be 1.
    """
    nodes, needed = [], {value}
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            if any_sizes and node.op_type == "Shape":
                part = slice(*({a.name: a.i for a in node.attribute}.get(name) for name in ("start", "end")))
                node = onnx.helper.make_node("Constant", [], node.output, value_ints=([1] * 8)[part])
            nodes.insert(0, node)
            needed.update(name for name in node.input if name)  # one that is left out is named ""
    held = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    if needed.intersection(value.name for value in model.graph.input) - {tensor.name for tensor in held}:
        return None
    graph = onnx.helper.make_graph(nodes, "constant", [], [onnx.ValueInfoProto(name=value)], held)
    constant = onnx.helper.make_model(graph, opset_imports=model.opset_import)
    try:
        return required("onnx.reference").ReferenceEvaluator(constant).run([value], {})[0]
    except Exception as error:
        raise ValueError(
            f"{label} is {value!r}, which cannot be computed from what the model holds ({error}): fold the model's "
            "constants first, as onnxsim does."
        ) from error
