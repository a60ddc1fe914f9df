"""A GRU layer for Keras on TensorFlow: `GRU`, its `GRUCell`, and the NumPy `reference` that judges both."""

from gru_tf import reference
from gru_tf.cell import GRUCell
from gru_tf.layer import GRU

__all__ = ["GRU", "GRUCell", "reference"]
