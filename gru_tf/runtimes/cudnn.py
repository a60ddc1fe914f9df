"""The runtime on a GPU: cuDNN's recurrent network, with a mask of any pattern.

A masked unit equals the unit over each row's real steps. So each row is packed, its real steps first and in order, and
cuDNN runs it to its own length. After n real steps the state is the nth that cuDNN put out, and h_0 for n = 0: so the
states are read back, where padding repeats the last one.

Sources: NVIDIA's cuDNN documentation for the equations and the layout of the weights (cudnnRNNMode_t,
cudnnGetRNNWeightParams); the operations are TensorFlow's CudnnRNNV2 and CudnnRNNV3.
"""

import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import tensorflow as tf

from gru_tf import tracing
from gru_tf.runtimes import fused, probe
from gru_tf.runtimes.equations import ResetAfter
from gru_tf.scans import precise, scan_rows, with_gradient

_UNIT = partial(ResetAfter, joined=True)


def available():
    """Whether there is a GPU that has cuDNN."""
    return tf.sysconfig.get_build_info()["is_cuda_build"] and bool(tf.config.list_logical_devices("GPU"))


def absence(dtype):
    """What keeps cuDNN from serving this dtype on this machine, as text, or None."""
    return disagreement(dtype) if available() else "there is no GPU that has it"


@cache
def disagreement(dtype):
    """Where cuDNN differs from the fused runtime in a small case of this dtype, as text, or None.

    The case is computed once in a process; a difference gives a warning.
    """
    with ThreadPoolExecutor(1) as thread:  # outside any graph, tape and device scope
        try:
            difference = thread.submit(probe.difference, run, fused.GRAPH.run, dtype).result()
        except tf.errors.OpError as error:
            difference = error.message
    if difference is None:
        return None
    text = f"it fails a small case in {dtype}: {difference}"
    warnings.warn(f"cuDNN does not serve, as {text}.", stacklevel=2)
    return text


def missing(cell, unroll):
    """The option that cuDNN does not have, as text, or None."""
    if common := fused.missing(cell, unroll):
        return common
    if not cell.reset_after:
        return "reset_after=False"
    if cell.recurrent_dropout:
        return f"recurrent_dropout={cell.recurrent_dropout!r}"
    return f"dropout={cell.dropout!r} with implementation=1" if cell.dropout and cell.implementation == 1 else None


def obstacle(cell, call):
    """What stands in the way of a call, as text, or None."""
    if option := missing(cell, call.unroll):
        return option
    if tracing.may_be_exported(call.training):
        return "a graph that may be exported"
    compiled = tracing.compiled_by_caller()
    reason = "jit_compile=True rules it out" if compiled else absence(tf.as_dtype(call.state.dtype).name)
    if reason and call.wanted == "cudnn":
        raise ValueError(f"use_cudnn=True or runtime='cudnn' asks for cuDNN, but {reason}: pass 'auto' for both.")
    return reason


def run(cell, sequences, state, mask=None, *, record=(), training=False, unroll=False):
    """Carry the state through the time axis; arguments and results as in `portable.run`."""
    dtype = state.dtype
    served = tf.float32 if dtype == tf.bfloat16 else dtype
    values, start, mask, weights, dropout_mask, _ = tf.nest.map_structure(
        lambda array: array if array is None or array.dtype == tf.bool else tf.cast(array, served),
        fused.arguments(cell, sequences, state, mask, training),
    )
    weights = kernel, recurrent_kernel, bias, recurrent_bias = fused.fold_weights(weights, True, cell.update_gate)
    values = values if dropout_mask is None else values * dropout_mask[:, tf.newaxis]
    states = _states(values, start, weights, mask, training)

    recorded = {"state": states}
    if set(record) - {"state"}:
        before = tf.concat([start[:, tf.newaxis], states[:, :-1]], 1)
        projection = tf.tensordot(values, kernel, 1) + bias
        recorded |= fused.gates(_UNIT(recurrent_kernel, recurrent_bias), projection, before, cell.update_gate)
    results = tf.cast(states[:, -1], dtype), {name: tf.cast(recorded[name], dtype) for name in record}
    return fused.with_static_shapes(results, sequences, state)


def _states(sequences, start, weights, mask, training):
    """The state after each step, (B, T, H)."""
    if mask is None:
        batch, steps = tf.unstack(tf.shape(sequences)[:2])
        # Without lengths TensorFlow tries all algorithms for each new T, which pays only where T stays the same.
        lengths = tf.fill([batch], steps) if sequences.shape[1] is None else None
        return _outputs(lengths, training, sequences, start, *weights)

    # In floats, exact below 2²⁴, and in int64: what TensorFlow does with int32 it does on the host.
    real = tf.cast(mask, tf.float32)
    count = tf.cumsum(real, axis=1)
    # Of equal values `top_k` takes the earlier first.
    is_real, order = tf.math.top_k(real, tf.shape(real)[1])
    in_order = tf.gather(sequences, tf.cast(order, tf.int64), batch_dims=1)
    packed = tf.where(is_real[..., tf.newaxis] > 0, in_order, 0)
    lengths = tf.cast(tf.maximum(count[:, -1], 1), tf.int32)  # cuDNN refuses a row without steps
    with tf.device("CPU"):
        lengths = tf.identity(lengths)  # moved once, for forward and backward
    outputs = _outputs(lengths, training, packed, start, *weights)
    states = tf.concat([start[:, tf.newaxis], outputs], 1)
    return tf.gather(states, tf.cast(count, tf.int64), batch_dims=1)


def _outputs(lengths, training, *inputs):
    """What cuDNN puts out at each step, (B, T, H), with gradients of any order.

    The first are cuDNN's own. cuDNN has no others, so theirs are those of the fused runtime.
    """
    frozen = [tf.stop_gradient(array) for array in inputs]

    def with_pullback():
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(frozen)
            outputs = _call(lengths, True, *frozen)
        return outputs, lambda upstream: tape.gradient(outputs, frozen, upstream)

    if training:
        outputs, pullback = with_pullback()
    else:
        # A gradient is rarely asked for here: run once more for it, and else keep nothing.
        outputs = _call(lengths, False, *frozen)

        def pullback(upstream):
            return with_pullback()[1](upstream)

    def gradient(_, __, upstream, *inputs):
        return _gradients(lengths, pullback, upstream, *inputs)

    return with_gradient(gradient, tf.stop_gradient(outputs), [], *inputs)


def _gradients(lengths, pullback, upstream, *inputs):
    """The gradients by the inputs, as a function that can be differentiated."""

    @tf.custom_gradient
    def attach(*tensors):
        upstream, *inputs = map(tf.identity, tensors)

        def backward(*directions):
            with tf.GradientTape() as second:
                second.watch([upstream, *inputs])
                with tf.GradientTape() as first:
                    first.watch(inputs)
                    outputs = _fused_outputs(lengths, *inputs)
                gradients = first.gradient(outputs, inputs, upstream)
            return second.gradient(gradients, [upstream, *inputs], directions)

        return tuple(pullback(tf.stop_gradient(upstream))), backward

    return attach(upstream, *inputs)


def _fused_outputs(lengths, *inputs):
    """What `_call` computes, up to each row's length, by the fused loop."""
    dtype = inputs[0].dtype
    sequences, start, kernel, recurrent_kernel, bias, recurrent_bias = (
        tf.cast(array, precise(dtype)) for array in inputs
    )
    mask = None if lengths is None else tf.sequence_mask(lengths, tf.shape(sequences)[1])
    projection = fused.project(sequences, kernel, bias, mask, None)
    states = fused.state_sequence(scan_rows, _UNIT, False, projection, start, recurrent_kernel, recurrent_bias)
    return tf.cast(tf.transpose(states[1:], [1, 0, 2]), dtype)


def _call(lengths, is_training, sequences, start, *weights):
    """cuDNN's outputs for sequences (B, T, I) and h_0 (B, H): (B, T, H), zeros beyond a row's length."""
    batch = tf.shape(sequences)[0]
    if not sequences.shape[0]:  # cuDNN refuses an empty batch: give it a row
        missing = 1 - tf.minimum(batch, 1)
        sequences = tf.pad(sequences, [[0, missing], [0, 0], [0, 0]])
        start = tf.pad(start, [[0, missing], [0, 0]])
        lengths = None if lengths is None else tf.pad(lengths, [[0, missing]], constant_values=1)

    options = {"input_c": 0, "params": _parameters(*weights), "rnn_mode": "gru", "is_training": is_training}
    if lengths is None:
        by_time = tf.transpose(sequences, [1, 0, 2])
        outputs, *_ = tf.raw_ops.CudnnRNNV2(input=by_time, input_h=start[tf.newaxis], **options)
        outputs = tf.transpose(outputs, [1, 0, 2])
    else:
        options |= {"sequence_lengths": lengths, "time_major": False}
        outputs, *_ = tf.raw_ops.CudnnRNNV3(input=sequences, input_h=start[:, tf.newaxis], **options)
    return outputs[:batch]


def _parameters(kernel, recurrent_kernel, bias, recurrent_bias):
    """cuDNN's flat buffer: the matrices W_r, W_z, W_h, U_r, U_z, U_h, each transposed; then b and d in that order.

    d_r and d_z are zeros, for they are part of b here.
    """
    zeros = tf.zeros_like(recurrent_bias)
    blocks = []
    for z, r, h in (tf.split(kernel, 3, 1), tf.split(recurrent_kernel, 3, 1)):
        blocks += [tf.transpose(r), tf.transpose(z), tf.transpose(h)]
    b_z, b_r, b_h = tf.split(bias, 3)
    blocks += [b_r, b_z, b_h, zeros, zeros, recurrent_bias]
    return tf.concat([tf.reshape(block, [-1]) for block in blocks], 0)
