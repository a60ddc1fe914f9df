"""Weights from and to PyTorch and ONNX, and from Keras 2.

All functions deal with a stack: a list of layers, the first below. A layer is a `gru_tf.GRU`, a `keras.layers.GRU`, a
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

Sources: the pages of `torch.nn.GRU` (PyTorch 2.13) and of the operator `GRU` (ONNX, opset 14); for Keras 2 the source
of its `CuDNNGRU` and of its loader for HDF5.
"""

from gru_tf.weights.keras2 import from_keras2, keras2_hard_sigmoid
from gru_tf.weights.onnx import from_onnx, to_onnx
from gru_tf.weights.torch import from_torch, to_torch

__all__ = ["from_keras2", "from_onnx", "from_torch", "keras2_hard_sigmoid", "to_onnx", "to_torch"]
