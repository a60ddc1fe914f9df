"""A GRU layer for Keras on TensorFlow: `GRU`, its `GRUCell`, `MinGRU`, their `weights`, and the NumPy `reference`."""

from gru_tf import reference, weights
from gru_tf.cell import GRUCell
from gru_tf.layer import GRU
from gru_tf.min_gru import MinGRU

__version__ = "0.1.0"

__all__ = ["GRU", "GRUCell", "MinGRU", "reference", "weights"]
