"""Who takes part: GRU layers that do the same work with the same weights.

The work is a forward pass that returns the outputs (B, T, H), or in training the gradients of the sum of their squares
by the input and all weights, in float32. On a machine with a GPU all of it runs there, and whoever cannot stays out.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # leaves memory to torch and to other processes

import keras
import numpy as np
import tensorflow as tf

import gru_tf

try:
    import torch
except ImportError:
    torch = None
try:
    import onnxruntime
except ImportError:
    onnxruntime = None

tf.get_logger().setLevel("ERROR")  # or each contender would be warned that it is traced anew

GPUS = tf.config.list_physical_devices("GPU")
# The largest difference allowed, as a fraction of the largest value; products on a GPU may be of TensorFloat-32.
TOLERANCE = 2e-2 if GPUS else 1e-4
VARIANTS = {  # the layer's options; with a mask outputs are zeros at padded steps, as torch and ONNX have them
    "plain": {},
    "mask": {"zero_output_for_mask": True},
    "left mask": {"zero_output_for_mask": True},
    "recurrent dropout": {"recurrent_dropout": 0.2},
    "reset before": {"reset_after": False},
}


@dataclass(frozen=True)
class Case:
    """The work: shape (B, T, I, H), a key of `VARIANTS`, and whether to train; numbers are the same each time."""

    shape: tuple
    variant: str = "plain"
    training: bool = True

    def __str__(self):
        return f"{self.shape} {self.variant}, {'training' if self.training else 'inference'}"

    @property
    def flops(self):
        """Of the matrix products: 2·B·T·(I + H)·3H forwards; the gradients by their two factors cost twice that.

        Padded steps count. What acts on single elements does not, nor what is computed a second time.
        """
        batch, steps, features, units = self.shape
        return (3 if self.training else 1) * 6 * batch * steps * units * (features + units)

    @cached_property
    def sequences(self):
        return np.random.default_rng(0).normal(size=self.shape[:3]).astype("float32")

    @cached_property
    def lengths(self):
        """The number of real steps of each row, between half of them and all, or None without a mask."""
        batch, steps, *_ = self.shape
        chosen = np.random.default_rng(1).integers((steps + 1) // 2, steps, batch, endpoint=True)
        return chosen if self.variant.endswith("mask") else None

    @cached_property
    def mask(self):
        """(B, T), True for a real step, or None."""
        if self.lengths is None:
            return None
        right = np.arange(self.shape[1]) < self.lengths[:, np.newaxis]
        return right[:, ::-1] if self.variant == "left mask" else right

    @cached_property
    def layer(self):
        """A `gru_tf.GRU` with the weights of all contenders."""
        layer = gru_tf.GRU(self.shape[-1], return_sequences=True, **VARIANTS[self.variant])
        layer.build(self.sequences.shape)
        bound = self.shape[-1] ** -0.5
        random_values = np.random.default_rng(2)
        layer.set_weights([random_values.uniform(-bound, bound, w.shape) for w in layer.get_weights()])
        return layer


@dataclass(frozen=True)
class Contender:
    """`run()` does the work once and waits for its end; `arrays(result)` is what it gave, as Keras orders it."""

    run: Callable
    arrays: Callable


def tensorflow_gru(layer_class, case, *, jit_compile=False, **options):
    """A Keras layer, called in a graph as `fit` and `predict` do."""
    keras.backend.clear_session()  # or the first call would find what another contender compiled
    layer = layer_class(case.shape[-1], return_sequences=True, **VARIANTS[case.variant], **options)
    layer.build(case.sequences.shape)
    layer.set_weights(case.layer.get_weights())
    weights = [weight.value for weight in layer.trainable_weights]
    sequences = tf.constant(case.sequences)
    mask = None if case.mask is None else tf.constant(case.mask)

    @tf.function(jit_compile=jit_compile)
    def work(sequences):
        if not case.training:  # as `predict` calls a model
            return [tf.distribute.get_strategy().run(layer, [sequences], {"mask": mask})]
        with tf.GradientTape() as tape:
            tape.watch(sequences)
            loss = tf.reduce_sum(layer(sequences, mask=mask, training=True) ** 2)
        return tape.gradient(loss, [sequences, *weights])

    def run():
        results = work(sequences)
        tf.test.experimental.sync_devices()
        return results

    return Contender(run, lambda results: [tf.convert_to_tensor(result).numpy() for result in results])


def torch_gru(case):
    """`torch.nn.GRU`, packed for a mask; None where it cannot do the work."""
    if torch is None or case.variant not in ("plain", "mask") or (GPUS and not torch.cuda.is_available()):
        return None
    device = "cuda" if GPUS else "cpu"
    _, steps, features, units = case.shape
    layer = torch.nn.GRU(features, units, batch_first=True)
    state_dict = {name: torch.from_numpy(weight) for name, weight in gru_tf.weights.to_torch(case.layer).items()}
    layer.load_state_dict(state_dict)
    layer.to(device)
    sequences = torch.tensor(case.sequences, device=device, requires_grad=case.training)
    lengths = None if case.lengths is None else torch.from_numpy(case.lengths)

    def outputs():
        if lengths is None:
            return layer(sequences)[0]
        packed = torch.nn.utils.rnn.pack_padded_sequence(sequences, lengths, batch_first=True, enforce_sorted=False)
        return torch.nn.utils.rnn.pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=steps)[0]

    def run():
        if case.training:
            results = torch.autograd.grad((outputs() ** 2).sum(), [sequences, *layer.parameters()])
        else:
            with torch.inference_mode():
                results = [outputs()]
        if GPUS:
            torch.cuda.synchronize()
        return results

    def arrays(results):
        first, *by_weights = (result.cpu().numpy() for result in results)
        if not case.training:
            return [first]
        # A gradient has the layout of its weight.
        (like_weights,) = gru_tf.weights.from_torch(dict(zip(state_dict, by_weights, strict=True)))
        return [first, *like_weights.get_weights()]

    return Contender(run, arrays)


def onnxruntime_gru(case):
    """The model that `gru_tf.weights.to_onnx` writes, in onnxruntime; None where it cannot do the work."""
    provider = "CUDAExecutionProvider" if GPUS else "CPUExecutionProvider"
    serves = not case.training and case.variant in ("plain", "mask", "reset before")
    if onnxruntime is None or not serves or provider not in onnxruntime.get_available_providers():
        return None
    model = gru_tf.weights.to_onnx(case.layer, sequence_lens=case.lengths is not None)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=[provider])
    inputs = {"sequences": case.sequences}
    if case.lengths is not None:
        inputs["sequence_lens"] = case.lengths.astype("int32")
    return Contender(lambda: session.run(None, inputs), lambda results: results)


# The first is what the others are compared with. Each makes a `Contender` for a `Case`, or None if it cannot serve it.
CONTENDERS = {
    "keras": partial(tensorflow_gru, keras.layers.GRU),
    # XLA has no cuDNN, and Keras's layer does not look.
    "keras jit": partial(tensorflow_gru, keras.layers.GRU, jit_compile=True, use_cudnn=False),
    "torch": torch_gru,
    "onnxruntime": onnxruntime_gru,
    "graph": partial(tensorflow_gru, gru_tf.GRU, runtime="graph"),
    "xla": partial(tensorflow_gru, gru_tf.GRU, runtime="xla"),
    "auto": partial(tensorflow_gru, gru_tf.GRU),
    "auto jit": partial(tensorflow_gru, gru_tf.GRU, jit_compile=True),
}


def require_agreement(arrays):
    """Raise an ArithmeticError if one contender's arrays, by its name, differ from those of the first."""
    (first, expected), *others = arrays.items()
    for name, given in others:
        for k, (actual, wanted) in enumerate(zip(given, expected, strict=True)):
            error, limit = np.max(np.abs(actual - wanted)), TOLERANCE * np.max(np.abs(wanted))
            if not error <= limit:
                raise ArithmeticError(
                    f"{name} does not compute what {first} does: array {k} of {len(expected)} differs by {error:.2g}, "
                    f"allowed is {limit:.2g}. Compare their weights and options."
                )
