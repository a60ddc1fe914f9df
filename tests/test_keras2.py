"""What Keras 2 saved: its own outputs, the layout of CuDNNGRU, the hard sigmoid of then, and every refusal."""

import json
import shutil
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from gru_tf import GRU, weights
from gru_tf.weights import keras2

GOLDEN = Path(__file__).parent / "golden"
SAME = 1e-6


def seen(kind):
    """The sequences, and what each layer of Keras 2 made of them, in the order of the layers."""
    with h5py.File(GOLDEN / f"keras2_{kind}.h5") as file:
        values = {name: dataset[()] for name, dataset in file["seen"].items()}
    names = {"gru": ["first", "second", "both", "fourth"], "cudnn": ["first", "both"]}[kind]
    return values["sequences"], [values[name] for name in names]


def arrays_of(kind):
    """What `get_weights()` returned in Keras 2, by layer."""
    with h5py.File(GOLDEN / f"keras2_{kind}.h5") as file:
        group = file["model_weights"]
        return {
            name: [group[name][weight][()] for weight in group[name].attrs["weight_names"]]
            for name in group.attrs["layer_names"]
        }


def check(layers, kind):
    sequences, expected = seen(kind)
    assert len(layers) == len(expected)
    for layer, outputs in zip(layers, expected, strict=True):
        actual = layer(sequences).numpy()
        assert actual.shape == outputs.shape
        error = np.abs(actual - outputs).max()
        assert error <= SAME < np.abs(outputs).max(), f"error {error:.2e} exceeds {SAME:.0e}"


@pytest.mark.parametrize("kind", ["gru", "cudnn"])
def test_the_layers_of_a_saved_model_put_out_what_keras_2_did(kind):
    for path in (GOLDEN / f"keras2_{kind}.h5", str(GOLDEN / f"keras2_{kind}.h5")):
        check(weights.from_keras2(path), kind)


def test_saved_options_are_kept_and_those_passed_go_before():
    layers = weights.from_keras2(GOLDEN / "keras2_gru.h5")
    assert [layer.name for layer in (layers[0], layers[1], layers[3])] == ["first", "second", "fourth"]
    assert [layer.return_sequences for layer in layers] == [True, False, True, True]
    assert (layers[1].go_backwards, layers[2].merge_mode, layers[3].cell.use_bias) == (True, "sum", False)
    layers = weights.from_keras2(GOLDEN / "keras2_gru.h5", return_sequences=True)
    assert [layer.return_sequences for layer in layers] == [True] * 4
    with pytest.raises(TypeError, match="update_gate"):
        weights.from_keras2(GOLDEN / "keras2_gru.h5", update_gate="write")


def weights_alone(folder, kind):
    """The file that `save_weights` writes."""
    path = folder / "weights.h5"
    with h5py.File(GOLDEN / f"keras2_{kind}.h5") as file, h5py.File(path, "w") as alone:
        for name, value in file["model_weights"].attrs.items():
            alone.attrs[name] = value
        for name in file["model_weights"]:
            file.copy(f"model_weights/{name}", alone)
    return path


def test_weights_alone_are_taken_where_they_say_all(tmp_path):
    check(weights.from_keras2(weights_alone(tmp_path, "cudnn")), "cudnn")
    sequences, expected = seen("cudnn")
    arrays = arrays_of("cudnn")["first"]
    assert arrays[2].shape == (24,)
    [layer] = weights.from_keras2(arrays)
    np.testing.assert_allclose(layer(sequences), expected[0], atol=SAME)


def test_weights_that_do_not_say_what_they_are_for_are_refused(tmp_path):
    arrays = arrays_of("gru")
    for source in (arrays["first"], arrays["both"], weights_alone(tmp_path, "gru")):
        with pytest.raises(
            ValueError, match="source has weights alone, which do not say recurrent_activation: pass it"
        ):
            weights.from_keras2(source)
    with pytest.raises(ValueError, match="do not say reset_after"):
        weights.from_keras2(arrays["nested"][:2], recurrent_activation="sigmoid")
    sequences, expected = seen("gru")
    given = {
        "first": {"recurrent_activation": "hard_sigmoid"},
        "second": {"recurrent_activation": "hard_sigmoid", "go_backwards": True, "return_sequences": False},
        "nested": {"recurrent_activation": "sigmoid", "reset_after": True},
    }
    for (name, options), outputs in zip(given.items(), [*expected[:2], expected[3]], strict=True):
        [layer] = weights.from_keras2(arrays[name][: 2 if name == "nested" else 3], **options)
        np.testing.assert_allclose(layer(sequences), outputs, atol=SAME)


def test_the_hard_sigmoid_of_keras_2_is_saved_as_such(tmp_path):
    x = np.linspace(-4, 4, 33)
    np.testing.assert_allclose(weights.keras2_hard_sigmoid(x), np.clip(0.2 * x + 0.5, 0, 1), atol=1e-7)
    assert np.abs(weights.keras2_hard_sigmoid(x) - keras.activations.hard_sigmoid(x)).max() > 0.05
    sequences, expected = seen("gru")
    [layer, *_] = weights.from_keras2(GOLDEN / "keras2_gru.h5")
    model = keras.Sequential([keras.Input(sequences.shape[1:]), layer])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.layers[-1].cell.recurrent_activation is weights.keras2_hard_sigmoid
    np.testing.assert_allclose(again(sequences), expected[0], atol=SAME)
    copied = GRU.from_config(layer.get_config())
    assert copied.cell.recurrent_activation is weights.keras2_hard_sigmoid


def changed(folder, change):
    path = shutil.copy(GOLDEN / "keras2_gru.h5", folder / "changed.h5")
    with h5py.File(path, "a") as file:
        change(file)
    return path


def in_bytes(file):
    """Attributes as older releases of h5py wrote them."""
    group = file["model_weights"]
    group.attrs["layer_names"] = np.array([name.encode() for name in group.attrs["layer_names"]])
    for layer in group.values():
        layer.attrs["weight_names"] = np.array([name.encode() for name in layer.attrs["weight_names"]], "S99")
    group.attrs["keras_version"] = np.bytes_(b"2.2.4")
    file.attrs["model_config"] = np.bytes_(file.attrs["model_config"].encode())


def without_later_options(file):
    """The configuration of a GRU before `reset_after`, in a list as Sequential models had it then."""
    config = json.loads(file.attrs["model_config"])["config"]["layers"]
    del next(layer for layer in config if layer["name"] == "first")["config"]["reset_after"]
    file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config})


@pytest.mark.parametrize("change", [in_bytes, without_later_options])
def test_files_of_older_releases_are_read(change, tmp_path):
    check(weights.from_keras2(changed(tmp_path, change)), "gru")


def stateful(file):
    file.attrs["model_config"] = file.attrs["model_config"].replace('"stateful": false', '"stateful": true')


def test_layers_that_were_stateful_are_made_for_any_batch_size_or_not_at_all(tmp_path):
    path = changed(tmp_path, stateful)
    with pytest.raises(ValueError, match="stateful=True.*batch size must be static"):
        weights.from_keras2(path)
    check(weights.from_keras2(path, stateful=False), "gru")


def of_keras_3(file):
    file["model_weights"].attrs["keras_version"] = "3.15.1"


def two_of_one_name(file):
    config = file.attrs["model_config"].replace('"first"', '"second"')
    file.attrs["model_config"] = config


def a_layer_less(file):
    file.attrs["model_config"] = file.attrs["model_config"].replace('"GRU"', '"Other"', 1)


def no_gru(file):
    group = file["model_weights"]
    group.attrs["layer_names"] = ["lstm"]


BAD_FILES = {
    of_keras_3: "is no .h5 file of Keras 2: .*keras.models.load_model",
    two_of_one_name: r"weights of a GRU at \['first.*\] and the layers \['second', 'second', 'third', 'fourth'\]: pass",
    a_layer_less: r"and the layers \['second', 'third', 'fourth'\]: pass the get_weights\(\)",
    no_gru: r"has the weights of a GRU at \[\]",
}


@pytest.mark.parametrize("change", BAD_FILES)
def test_a_file_that_does_not_say_which_weights_are_whose_is_refused(change, tmp_path):
    with pytest.raises(ValueError, match=BAD_FILES[change]):
        weights.from_keras2(changed(tmp_path, change))


def test_a_file_without_layers_is_refused(tmp_path):
    layer = keras.layers.GRU(2)
    model = keras.Sequential([keras.Input((3, 2)), layer])
    model.save_weights(tmp_path / "new.weights.h5")
    model.save(tmp_path / "legacy.h5")
    for name in ("new.weights.h5", "legacy.h5"):
        with pytest.raises(ValueError, match="is no .h5 file of Keras 2"):
            weights.from_keras2(tmp_path / name)


BAD_ARRAYS = {
    "LSTM": [np.zeros((3, 16)), np.zeros((4, 16)), np.zeros(16)],
    "one": [np.zeros((3, 12))],
    "flat": [np.zeros(36), np.zeros(48), np.zeros(12)],
    "second direction": [np.zeros((3, 12)), np.zeros((4, 12)), np.zeros(12)] * 2,
}
BAD_ARRAYS["second direction"][4] = np.zeros((4, 16))


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_arrays_that_are_not_those_of_a_gru_are_refused(case):
    with pytest.raises(ValueError, match=r"source has arrays of the shapes \[.*LSTM four"):
        weights.from_keras2(BAD_ARRAYS[case], recurrent_activation="sigmoid")


@pytest.mark.parametrize(("which", "shape"), [(0, (3, 9)), (2, (5,)), (2, (3, 12)), (2, (2, 9))])
def test_arrays_that_do_not_fit_each_other_are_refused(which, shape):
    arrays = [np.zeros((3, 12)), np.zeros((4, 12)), np.zeros((2, 12))]
    arrays[which] = np.zeros(shape)
    with pytest.raises(ValueError, match="shape"):
        weights.from_keras2(arrays, recurrent_activation="sigmoid")


MUTANTS = {
    "blocks as they lie": ("_from_cudnn", lambda array, units: array.reshape(2, -1) if array.ndim == 1 else array),
    "the hard sigmoid of Keras 3": ("keras2_hard_sigmoid", keras.activations.hard_sigmoid),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_conversion_is_caught(mutant, monkeypatch):
    name, wrong = MUTANTS[mutant]
    monkeypatch.setattr(keras2, name, wrong)
    kind = "cudnn" if name == "_from_cudnn" else "gru"
    with pytest.raises(AssertionError, match="exceeds"):
        check(weights.from_keras2(GOLDEN / f"keras2_{kind}.h5"), kind)
