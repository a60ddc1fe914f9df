"""Write keras2_gru.h5 and keras2_cudnn.h5: models that Keras 2 saved, and what each of their GRUs makes of its inputs.

Run by hand where tf_keras, which is Keras 2 of today, is installed (last run with 2.21.0, on a CPU), from any folder.
A CuDNNGRU runs on a GPU only; here its outputs are those of the GRU that tf_keras itself loads its weights into.
The group `seen` holds the outputs by the layer's name; each layer read the sequences.
"""

from pathlib import Path

import h5py
import numpy as np
import tf_keras
from tf_keras.layers import GRU, LSTM, Bidirectional, Dense
from tf_keras.src.layers.rnn.cudnn_gru import CuDNNGRU
from tf_keras.src.saving.legacy.hdf5_format import preprocess_weights_for_loading

BATCH, STEPS, INPUTS = 2, 5, 3


def grus():
    """The defaults of Keras 2.0 to 2.3, those since, and what else a layer may have."""
    old = {"recurrent_activation": "hard_sigmoid", "reset_after": False, "return_sequences": True}
    yield GRU(4, name="first", **old)
    yield GRU(3, name="second", recurrent_activation="hard_sigmoid", go_backwards=True)
    yield Bidirectional(GRU(2, name="third", return_sequences=True, activation="relu"), merge_mode="sum", name="both")
    yield GRU(3, name="fourth", use_bias=False, return_sequences=True)


def cudnn_grus():
    yield CuDNNGRU(4, name="first", return_sequences=True)
    yield Bidirectional(CuDNNGRU(3, name="second", return_sequences=True), name="both")


def outputs_of(layer, sequences):
    """What the layer puts out, by a GRU if it is a CuDNNGRU."""
    if "CuDNNGRU" not in str(layer.get_config()) and not isinstance(layer, CuDNNGRU):
        return layer(sequences)
    twin = GRU(layer.units, return_sequences=True) if isinstance(layer, CuDNNGRU) else None
    twin = twin or Bidirectional(GRU(layer.forward_layer.units, return_sequences=True))
    twin.build(sequences.shape)
    twin.set_weights(preprocess_weights_for_loading(twin, layer.get_weights()))
    return twin(sequences)


def save(path, layers, chance):
    sequences = chance.normal(size=(BATCH, STEPS, INPUTS)).astype("float32")
    inputs = tf_keras.Input((STEPS, INPUTS))
    nested = tf_keras.Sequential([layers[-1], Dense(2)], name="nested")
    heads = [*(layer(inputs) for layer in layers[:-1]), LSTM(3)(inputs), nested(inputs)]
    model = tf_keras.Model(inputs, heads)
    model.set_weights([chance.normal(scale=0.7, size=weight.shape) for weight in model.get_weights()])
    model.save(path)
    with h5py.File(path, "a") as file:
        file["seen/sequences"] = sequences
        for layer in layers:
            file[f"seen/{layer.name}"] = outputs_of(layer, sequences).numpy()


def main():
    chance = np.random.default_rng(0)
    folder = Path(__file__).parent
    save(folder / "keras2_gru.h5", [*grus()], chance)
    save(folder / "keras2_cudnn.h5", [*cudnn_grus()], chance)


if __name__ == "__main__":
    main()
