"""A GRU layer for Keras on TensorFlow: `GRU`, its `GRUCell`, their `weights`, and the NumPy `reference`."""

from gru_tf import reference, weights
from gru_tf.cell import GRUCell
from gru_tf.layer import GRU

__all__ = ["GRU", "GRUCell", "reference", "weights"]
