"""Weights from Keras 2: `from_keras2`, and the activation that has changed since."""

import json
import os

import h5py
import keras
import numpy as np

from gru_tf.layer import GRU

_OPTIONS = {"activation", "recurrent_activation", "reset_after", "dropout", "recurrent_dropout"}
_OPTIONS |= {"name", "return_sequences", "return_state", "go_backwards", "stateful", "unroll"}


@keras.saving.register_keras_serializable(package="gru_tf")
def keras2_hard_sigmoid(x):
    """Return clip(0.2 x + 0.5, 0, 1), Keras 2's "hard_sigmoid"; that of Keras 3 is clip(x / 6 + 0.5, 0, 1)."""
    return keras.ops.clip(0.2 * x + 0.5, 0, 1)


def from_keras2(source, **options):
    """Make layers of the `GRU` and `CuDNNGRU` layers of Keras 2, which `tf.keras` was up to TensorFlow 2.15.

    The layers compute what Keras 2 computed. Keras 3 has another function under the name "hard_sigmoid", so they have
    `keras2_hard_sigmoid` in its place.

    Args:
        source: the path of an `.h5` file that Keras 2 wrote with `model.save` or `model.save_weights`; other layers in
            it are left alone. Or the list that `get_weights()` of one layer returned, of a `Bidirectional` too.
        **options: options of `gru_tf.GRU` that the source does not say, or that shall differ. A model that was saved
            whole has its layers' options, except initializers, regularizers and constraints. Weights alone do not say
            `recurrent_activation`, whose default once was "hard_sigmoid", nor without a bias `reset_after`. (A
            CuDNNGRU has sigmoid and resets after.) Other options are those of a layer that returns sequences. Layers
            that were stateful need `stateful=False`: they are built for any batch size.

    Returns:
        The list of built layers in the order of the model, each a `gru_tf.GRU`, or a `keras.layers.Bidirectional` of
        two. To move the weights into a layer of your own, use its `set_weights`.

    Raises:
        ValueError: for a file that Keras 2 did not write or without a GRU, for arrays that are not a GRU's, and for
            options that are needed.
    """
    if isinstance(source, (str, os.PathLike)):
        return [_layer(arrays, saved | options, mode) for arrays, saved, mode in _read(source)]
    return [_layer([np.asarray(array) for array in source], options)]


def _layer(arrays, options, merge_mode="concat"):
    """A layer with the arrays that `get_weights()` returned in Keras 2."""
    per_direction = {2: 2, 3: 3, 4: 2, 6: 3}.get(len(arrays))
    if not per_direction or not all(map(_is_recurrent, arrays[1::per_direction])):
        raise ValueError(
            f"source has arrays of the shapes {[array.shape for array in arrays]}: expected (I, 3H), (H, 3H) and, if "
            "any, a bias, for one or two directions. Pass those of a GRU (it has three gates, an LSTM four)."
        )
    units, use_bias = len(arrays[1]), per_direction == 3
    found = {"return_sequences": True}
    if use_bias and arrays[2].shape == (6 * units,):
        arrays = [_from_cudnn(array, units) for array in arrays]
        found["recurrent_activation"] = "sigmoid"
    if use_bias:
        found["reset_after"] = arrays[2].ndim == 2
    options = found | options
    for name in ("recurrent_activation", "reset_after"):
        if name not in options:
            raise ValueError(f"source has weights alone, which do not say {name}: pass it, or the file of the model.")
    for name in ("activation", "recurrent_activation"):
        if options.get(name) == "hard_sigmoid":
            options[name] = keras2_hard_sigmoid
    dtype = arrays[0].dtype.name
    layer = GRU(units, use_bias=use_bias, update_gate="keep", dtype=dtype, **options)
    if len(arrays) > per_direction:
        layer = keras.layers.Bidirectional(layer, merge_mode=merge_mode, dtype=dtype)
    layer.build((None, None, len(arrays[0])))
    layer.set_weights(arrays)
    return layer


def _is_recurrent(array):
    """Whether the array may be the recurrent kernel of a GRU."""
    return array.ndim == 2 and array.shape[1] == 3 * array.shape[0]


def _from_cudnn(array, units):
    """What a GRU has for an array of a CuDNNGRU: the memory of each block of a kernel holds the transpose."""
    if array.ndim == 1:
        return array.reshape(2, -1)
    return np.hstack([block.reshape(units, -1).T for block in np.split(array, 3, axis=1)])


def _read(path):
    """The arrays, saved options and merge mode of each GRU in a file."""
    with h5py.File(path) as file:
        group = file.get("model_weights", file)
        if "layer_names" not in group.attrs or _text(group.attrs.get("keras_version", "")).startswith("3"):
            raise ValueError(
                f"source={os.fspath(path)!r} is no .h5 file of Keras 2: write one there with model.save('model.h5'). "
                "What Keras 3 wrote is read by keras.models.load_model."
            )
        weights = {}
        for layer in map(_text, group.attrs["layer_names"]):
            for name in map(_text, group[layer].attrs["weight_names"]):
                place = f"{layer}/{name}".rpartition("/")[0]
                weights.setdefault(place, []).append(group[layer][name][()])
        config = json.loads(file.attrs.get("model_config", "null"))
    found = {}
    for place, arrays in weights.items():
        if len(arrays) in (2, 3) and _is_recurrent(arrays[1]):
            found.setdefault(place.replace("/backward_", "/forward_"), []).extend(arrays)
    saved = [*_saved(config)] if config else [("", {}, "concat")] * len(found)
    if not found or len(found) != len(saved) or any(s[0] not in place for s, place in zip(saved, found, strict=True)):
        raise ValueError(
            f"source={os.fspath(path)!r} has the weights of a GRU at {[*found]} and the layers "
            f"{[name for name, *_ in saved]}: pass the get_weights() of each layer instead."
        )
    return [(arrays, *one[1:]) for arrays, one in zip(found.values(), saved, strict=True)]


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


def _saved(node, merge_mode="concat"):
    """The name, options and merge mode of each GRU in the configuration of a model."""
    if isinstance(node, list):
        for inner in node:
            yield from _saved(inner)
    elif isinstance(node, dict) and node.get("class_name") in ("GRU", "CuDNNGRU"):
        options = {"reset_after": node["class_name"] == "CuDNNGRU"}  # before it was an option
        options |= {name: value for name, value in node["config"].items() if name in _OPTIONS}
        yield options["name"], options, merge_mode
    elif isinstance(node, dict):
        for inner in node.values():
            yield from _saved(inner, node.get("merge_mode", merge_mode))
