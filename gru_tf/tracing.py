"""What a trace knows of how it will be run, and the programs that serve eager calls."""

from functools import lru_cache, partial

import tensorflow as tf

# Not public: what a session of Keras holds, until `keras.backend.clear_session`.
from keras.src.backend.common import global_state

# Not public: the tangents of tensors under `tf.autodiff.ForwardAccumulator`, and the modes of `tf.debugging`.
from tensorflow.python.eager.forwardprop_util import pack_tangents
from tensorflow.python.framework.op_callbacks import should_invoke_op_callbacks

# Not public; it tells whether this trace is to be compiled by XLA as a whole.
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

PROGRAMS = 64  # that a session keeps, those used last


def compiled_by_caller():
    """Whether the caller is being traced under `jit_compile=True`."""
    return GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def may_be_exported(training):
    """Whether what is being traced may be saved or converted one day, and so must run anywhere.

    No trace knows what becomes of its graph. But nobody exports one that trains, nor the step that
    `tf.distribute.Strategy.run` carries out, as `fit`, `evaluate` and `predict` do, nor one that XLA compiles anyway.
    """
    return tf.inside_function() and not (training or compiled_by_caller() or _in_strategy_run())


def _in_strategy_run():
    with tf.Graph().as_default():
        outside = tf.distribute.get_replica_context()
    return tf.distribute.get_replica_context() not in (None, outside)


def has_tangents(tensors):
    """Whether a `tf.autodiff.ForwardAccumulator` follows one of the tensors."""
    return any(pack_tangents([tf.convert_to_tensor(tensor) for tensor in tensors]).indices)


def debugged():
    """Whether `tf.debugging` looks at each operation, as after `enable_check_numerics`."""
    return bool(should_invoke_op_callbacks())


def program(function, *fixed, sizes, jit_compile=False, **options):
    """`function` with these first arguments and options, as a program of its own where that pays.

    There is one for each `sizes`, whose shapes so stay static: only others are relaxed when they change. A graph that
    XLA compiles, or that needs no program in it, and a debug mode take the operations as they stand.
    """
    if debugged() or compiled_by_caller() or (tf.inside_function() and not jit_compile):
        return partial(function, *fixed, **options)
    programs = global_state.get_global_attribute("gru_tf_programs")
    if programs is None:
        programs = lru_cache(PROGRAMS)(_program)
        global_state.set_global_attribute("gru_tf_programs", programs)
    return programs(function, *fixed, sizes=sizes, jit_compile=jit_compile, **options)


def _program(function, *fixed, sizes, jit_compile, **options):
    run = partial(function, *fixed, **options)
    return tf.function(run, jit_compile=jit_compile, autograph=False, reduce_retracing=True)
