"""The fused runtimes: the input projection hoisted out of the loop, a backward by hand, and two loops to choose from.

The input projection of all steps is one GEMM before the loop. A loop is a scan (`gru_tf.scans`), and
three are needed: the states forwards; their gradients δ backwards; and, for second derivatives, changes w of the
states forwards. The second is the transpose of the third, so each is the other's gradient, and derivatives
of any order come from the two.

A loop that XLA compiles is fastest with `joined` products, one GEMM for all gates of a step, and, where a gradient will
be asked for, with `keep_gates`, the forward loop's gates kept for the backward. In a TensorFlow loop each operation and
each copy of a slice costs: it is fastest with a GEMM for each gate, and the gates computed again, all steps at once.
"""

from functools import partial
from weakref import WeakKeyDictionary

import keras
import tensorflow as tf

from gru_tf import tracing
from gru_tf.runtimes.equations import ResetAfter, ResetBefore
from gru_tf.scans import differentiable, precise, scan_rows, scan_slices

SHAPES = 2  # that "auto" lets XLA compile for a layer, in training and not; each takes a second or more
PROGRAMS = 32  # that it lets XLA compile in all, at some 10 MB each
WIDE_OPEN = 1e20  # what a gate sees at a padded step; TFLite's sigmoid of 1e30 is NaN


def missing(cell, unroll):
    """The option that the fused runtimes do not have, as text, or None."""
    for name, wanted in {
        "activation": keras.activations.tanh,
        "recurrent_activation": keras.activations.sigmoid,
    }.items():
        given = getattr(cell, name)
        if given is not wanted:
            return f"{name}={getattr(given, '__name__', given)!r}"
    return "unroll=True" if unroll else None


class Fused:
    """The fused runtime with one of its two loops; `compiled` makes each loop a program of XLA, one for each shape."""

    def __init__(self, scan, *, compiled):
        self._scan, self._compiled = scan, compiled
        self._shapes = WeakKeyDictionary()  # those compiled for each cell, in training and not
        self._programs = 0  # in this process; XLA never lets one go

    missing = staticmethod(missing)

    def obstacle(self, cell, call):
        """What stands in the way of a call, as text, or None."""
        return missing(cell, call.unroll) or (self._obstacle_to_xla(cell, call) if self._compiled else None)

    def _obstacle_to_xla(self, cell, call):
        if tracing.compiled_by_caller():
            return None
        if tracing.may_be_exported(call.training):
            return "a graph that may be exported"
        if tracing.debugged():
            return "a debug mode"
        if tracing.has_tangents([call.sequences, call.state, *cell.trainable_variables]):
            return "forward-mode derivatives"
        if call.wanted == "xla":
            return None
        if not tf.inside_function() or None in call.sequences.shape:
            return "a shape that may change"
        known = self._shapes.get(cell, {}).get(bool(call.training), ())
        full = len(known) >= SHAPES or self._programs >= PROGRAMS
        return "too many shapes" if full and tuple(call.sequences.shape) not in known else None

    def run(self, cell, sequences, state, mask=None, *, record=(), training=False, unroll=False):
        """Carry the state through the time axis; arguments and results as in `portable.run`."""
        scan = partial(scan_rows, at_once=1) if tracing.may_be_exported(training) else self._scan
        compute = tracing.program(
            run,
            scan,
            sizes=tuple(cell.kernel.shape),
            jit_compile=self._compiled,
            record=tuple(record),
            reset_after=cell.reset_after,
            update_gate=cell.update_gate,
            joined=self._compiled,
            # Training tells that a gradient will follow; without the gates it only takes a little longer.
            keep_gates=self._compiled and bool(training),
        )
        if self._compiled and not tracing.compiled_by_caller():
            self._remember(cell, bool(training), tuple(sequences.shape))
        return with_static_shapes(compute(*arguments(cell, sequences, state, mask, training)), sequences, state)

    def _remember(self, cell, training, shape):
        known = self._shapes.setdefault(cell, {}).setdefault(training, set())
        self._programs += shape not in known
        known.add(shape)


def arguments(cell, sequences, state, mask, training):
    """What `run` takes of a cell, as tensors: its weights, and its dropout masks for this call."""
    input_masks = cell.get_dropout_mask(sequences[:, 0]) if training else None
    state_masks = cell.get_recurrent_dropout_mask(state) if training else None
    weights = [tf.convert_to_tensor(w) for w in (cell.kernel, cell.recurrent_kernel, cell.bias) if w is not None]
    return sequences, tf.convert_to_tensor(state), mask, weights, input_masks, state_masks


def run(
    scan,
    sequences,
    state,
    mask,
    weights,
    input_masks,
    state_masks,
    *,
    joined,
    keep_gates,
    record,
    reset_after,
    update_gate,
):
    """Carry the state through the sequences; arguments and results as in `portable.run`.

    It computes in float32 at least, whatever the dtype of the results.
    """
    dtype = state.dtype
    sequences, state, weights, input_masks, state_masks = tf.nest.map_structure(
        lambda values: None if values is None else tf.cast(values, precise(dtype)),
        (sequences, state, weights, input_masks, state_masks),
    )
    kernel, recurrent_kernel, input_bias, recurrent_bias = fold_weights(weights, reset_after, update_gate)
    projection = project(sequences, kernel, input_bias, mask, input_masks)  # (T, B, 3H)
    unit = partial(ResetAfter if reset_after else ResetBefore, joined=joined)
    parameters = (recurrent_kernel, *([recurrent_bias] if reset_after else []), *(state_masks or []))
    states = state_sequence(scan, unit, keep_gates, projection, state, *parameters)  # (T + 1, B, H)

    recorded = {"state": states[1:]} if "state" in record else {}
    if set(record) - {"state"}:
        recorded |= gates(unit(*parameters), projection, states[:-1], update_gate)
    recorded = {name: tf.cast(tf.transpose(recorded[name], [1, 0, 2]), dtype) for name in record}
    return tf.cast(states[-1], dtype), recorded


def gates(unit, projection, states, update_gate):
    """The gates at all steps, by name, from the projection and the state before each step."""
    z, r, c, _ = unit.gates(*tf.split(projection, 3, -1), states)
    return {"reset": r, "update": z if update_gate == "keep" else 1 - z, "candidate": c}


def with_static_shapes(results, sequences, state):
    """The results of a run with all that is known of their shapes, which a traced function may have forgotten."""
    last, recorded = results
    last.set_shape(state.shape)
    for values in recorded.values():
        values.set_shape((*sequences.shape[:2], state.shape[-1]))
    return results


def fold_weights(weights, reset_after, update_gate):
    """W, U, the bias (3H,) of the projection and d (H,), for an update gate that keeps the state.

    An open gate that writes is a closed one that keeps, and σ(-a) = 1 - σ(a): the update gate's columns change sign.
    The recurrent biases d_z and d_r add up with the input biases.
    """
    kernel, recurrent_kernel, *bias = weights
    units = recurrent_kernel.shape[0]
    bias = bias[0] if bias else tf.zeros((2, 3 * units), kernel.dtype)
    if reset_after:
        folded, recurrent_bias = tf.split(bias[1], [2 * units, units])
        bias = bias[0] + tf.pad(folded, [[0, units]])
    else:
        bias, recurrent_bias = bias if bias.shape.rank == 1 else bias[0], None
    if update_gate == "write":
        sign = tf.repeat(tf.constant([-1, 1, 1], kernel.dtype), units)
        kernel, recurrent_kernel, bias = kernel * sign, recurrent_kernel * sign, bias * sign
    return kernel, recurrent_kernel, bias, recurrent_bias


def project(sequences, kernel, bias, mask, dropout_masks):
    """The input's part of all gates at all steps, (T, B, 3H): one GEMM, or with a dropout mask for each gate three.

    A padded step holds its update gate wide open, and so leaves the state as it was.
    """
    by_time = tf.transpose(sequences, [1, 0, 2])
    if isinstance(dropout_masks, list):
        blocks = zip(dropout_masks, tf.split(kernel, 3, 1), strict=True)
        projection = tf.concat([tf.tensordot(by_time * m, block, 1) for m, block in blocks], -1) + bias
    else:
        by_time = by_time if dropout_masks is None else by_time * dropout_masks
        projection = tf.tensordot(by_time, kernel, 1) + bias
    if mask is None:
        return projection
    units = kernel.shape[1] // 3
    padding = tf.repeat(tf.constant([WIDE_OPEN, 0, 0], kernel.dtype), units)
    return tf.where(tf.transpose(mask)[..., tf.newaxis], projection, padding)


def state_sequence(scan, unit, keep_gates, projection, start, *parameters):
    """h_0 … h_T, (T + 1, B, H), from the projection (T, B, 3H), h_0 (B, H) and the unit's parameters."""

    def values(projection, start, *parameters):
        def step(h, *x):
            gates = z, _, c, _ = forward.gates(*x, h)
            return z * h + (1 - z) * c, gates[:kept]

        forward = unit(*parameters)
        return scan(step, [projection], start, kept)

    def gradient(kept_gates, states, upstream, projection, start, *parameters):
        backward = unit(*parameters)
        h = states[:-1]
        gates = _gates(unit, kept_gates, projection, h, *parameters)
        coefficients, rest = backward.coefficients(gates, h)
        delta = _state_gradients(scan, unit, upstream, coefficients, parameters)
        by_projection, *by_parameters = backward.gradients(delta[1:], h, coefficients, rest)
        return by_projection, delta[0], *by_parameters, *[None] * (len(parameters) - len(by_parameters))

    kept = 4 if keep_gates else 0
    return differentiable(values, gradient, projection, start, *parameters)


def _gates(unit, kept, *inputs):
    """z, r, c and s of all steps, (T, B, H) each: those kept, or computed from the projection, h and the parameters."""

    def compute(projection, h, *parameters):
        return unit(*parameters).gates(*tf.split(projection, 3, -1), h)

    @tf.custom_gradient
    def known(*tensors):
        copies = list(map(tf.identity, tensors))  # as in `with_gradient`
        kept, inputs = copies[:n], copies[n:]

        def gradient(*upstream):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                gates = compute(*inputs)
            return *[None] * n, *tape.gradient(gates, inputs, upstream, unconnected_gradients="zero")

        return kept, gradient

    n = len(kept)
    return known(*kept, *inputs) if kept else compute(*inputs)


def _state_gradients(scan, unit, upstream, coefficients, parameters):
    """δ, (T + 1, B, H): δ_T = g_T and δ_t = g_t + Mᵀ δ_{t+1}, from g = `upstream`, (T + 1, B, H)."""
    n = len(coefficients)

    def values(upstream, *inputs):
        def step(delta, g, *coefficients):
            return g + transposed(delta, *coefficients), []

        transposed = unit(*inputs[n:]).transposed
        return scan(step, [upstream[:-1], *inputs[:n]], upstream[-1], reverse=True)

    def gradient(_, delta, upstream, __, *inputs):
        w = _state_changes(scan, unit, upstream, inputs[:n], inputs[n:])
        return w, *_bilinear_gradients(unit, delta[1:], w[:-1], inputs, n)

    return differentiable(values, gradient, upstream, *coefficients, *parameters)


def _state_changes(scan, unit, upstream, coefficients, parameters):
    """w, (T + 1, B, H): w_0 = v_0 and w_{t+1} = v_{t+1} + M w_t, from v = `upstream`, (T + 1, B, H)."""
    n = len(coefficients)

    def values(upstream, *inputs):
        def step(w, v, *coefficients):
            return v + moved(w, *coefficients), []

        moved = unit(*inputs[n:]).moved
        return scan(step, [upstream[1:], *inputs[:n]], upstream[0])

    def gradient(_, w, upstream, __, *inputs):
        delta = _state_gradients(scan, unit, upstream, inputs[:n], inputs[n:])
        return delta, *_bilinear_gradients(unit, delta[1:], w[:-1], inputs, n)

    return differentiable(values, gradient, upstream, *coefficients, *parameters)


def _bilinear_gradients(unit, delta, w, inputs, n):
    """The gradients of Σ δ ⊙ M w over all steps by what M is made of: n coefficients, and parameters."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        moved = unit(*inputs[n:]).moved(w, *inputs[:n])
    return tape.gradient(moved, inputs, delta)


GRAPH, XLA = Fused(scan_rows, compiled=False), Fused(scan_slices, compiled=True)
