"""A model of cuDNN's GRU for machines without a GPU: what TensorFlow's operations CudnnRNNV2 and CudnnRNNV3 compute.

From NVIDIA's documentation: the equations of CUDNN_GRU in cudnnRNNMode_t, where vectors are columns, and the linear
layers of cudnnGetRNNWeightParams: 0, 1, 2 of the input and 3, 4, 5 of the state, each reset, update, new. The flat
buffer holds the six matrices, row by row, and then the six biases.
"""

from math import prod

import tensorflow as tf


def rnn_v2(*, input, input_h, input_c, params, rnn_mode, is_training):
    """CudnnRNNV2: everything is time-major, and every row runs to the end."""
    steps, batch = input.shape[0], tf.shape(input)[1]
    lengths = tf.fill([batch], steps)
    return rnn_v3(
        input=input,
        input_h=input_h,
        input_c=input_c,
        params=params,
        sequence_lengths=lengths,
        rnn_mode=rnn_mode,
        is_training=is_training,
        time_major=True,
    )


def rnn_v3(*, input, input_h, input_c, params, sequence_lengths, rnn_mode, is_training, time_major):
    """CudnnRNNV3: zeros beyond a row's length, and the state at that length."""
    assert rnn_mode == "gru"
    assert input.dtype in (tf.float16, tf.float32, tf.float64)
    assert sequence_lengths.dtype == tf.int32
    batch_axis = 1 if time_major else 0
    tf.debugging.assert_positive(tf.shape(input)[batch_axis], "CUDNN_STATUS_BAD_PARAM")
    tf.debugging.assert_equal(tf.shape(input)[batch_axis], tf.shape(sequence_lengths)[0])
    tf.debugging.assert_positive(sequence_lengths, "CUDNN_STATUS_BAD_PARAM")

    @tf.custom_gradient
    def call(x, h, buffer):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([x, h, buffer])
            outputs = _outputs(x, h, buffer, sequence_lengths)

        def backward(upstream):
            if not is_training:
                raise ValueError("is_training must be set to True.")  # as TensorFlow does
            gradients = tape.gradient(outputs, [x, h, buffer], upstream)
            return [tf.raw_ops.PreventGradient(input=g, message="CudnnRNNBackprop") for g in gradients]

        return outputs, backward

    by_time = input if time_major else tf.transpose(input, [1, 0, 2])
    outputs = call(by_time, input_h[0] if time_major else input_h[:, 0], params)
    last = tf.gather(tf.transpose(outputs, [1, 0, 2]), sequence_lengths - 1, batch_dims=1)
    if time_major:
        return outputs, last[tf.newaxis], None, None, None
    return tf.transpose(outputs, [1, 0, 2]), last[:, tf.newaxis], None, None, None


def _outputs(x, h, buffer, lengths):
    """The states h_1 … h_T, (T, B, H), from x_1 … x_T, (T, B, I), and h_0, (B, H)."""
    W_r, W_i, W_n, R_r, R_i, R_n, bW_r, bW_i, bW_n, bR_r, bR_i, bR_n = unpacked(buffer, x.shape[-1], h.shape[-1])

    def product(matrix, vectors):
        return tf.einsum("mn,bn->bm", matrix, vectors)

    def step(h, x):
        r = tf.sigmoid(product(W_r, x) + product(R_r, h) + bW_r + bR_r)
        i = tf.sigmoid(product(W_i, x) + product(R_i, h) + bW_i + bR_i)
        new = tf.tanh(product(W_n, x) + r * (product(R_n, h) + bR_n) + bW_n)
        return (1 - i) * new + i * h

    states = tf.scan(step, x, h)
    runs = tf.sequence_mask(lengths, tf.shape(x)[0])
    return tf.where(tf.transpose(runs)[..., tf.newaxis], states, 0)


def unpacked(buffer, features, units):
    """The six matrices and the six biases, each in the order of its linear layers."""
    shapes = [(units, features)] * 3 + [(units, units)] * 3 + [(units,)] * 6
    parts = tf.split(buffer, [prod(shape) for shape in shapes])
    return [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
