"""Time GRU layers against each other: `python benchmarks/bench.py [--quick] [--seconds S] [--output FILE]`.

Every contender runs the same work: a forward pass, or with `training` also the gradients by the input and all
weights, of the sum of the squared outputs (B, T, H), in float32. All contenders of a case take turns, one call each
in a round, so that whatever else the machine does falls on all of them; the result is a median with quartiles,
and a ratio is the median of the rounds' ratios to `keras`. The first call of each, with its traces and compilations, is
timed apart. torch takes part where it can be imported.
"""

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import gru_tf

SHAPES = [
    (32, 100, 128, 128),
    (64, 100, 64, 256),
    (1, 500, 32, 64),
    (128, 50, 16, 32),
    (16, 200, 300, 512),
]  # B, T, I, H
VARIANTS = {"plain": {}, "mask": {}, "recurrent dropout": {"recurrent_dropout": 0.2}}
TENSORFLOW = {  # name: (layer, options, whether the caller is compiled by XLA)
    "keras": (keras.layers.GRU, {}, False),
    "keras jit": (keras.layers.GRU, {}, True),
    "graph": (gru_tf.GRU, {"runtime": "graph"}, False),
    "xla": (gru_tf.GRU, {"runtime": "xla"}, False),
    "auto": (gru_tf.GRU, {}, False),
    "auto jit": (gru_tf.GRU, {}, True),
}


def tensorflow_call(layer_class, options, jit_compile, sequences, units, mask, training):
    """A function without arguments that runs the case once and waits for its results."""
    layer = layer_class(units, return_sequences=True, **options)
    layer.build(sequences.shape)
    weights = [weight.value for weight in layer.trainable_weights]

    @tf.function(jit_compile=jit_compile)
    def run(sequences):
        if not training:
            return [layer(sequences, mask=mask)]
        with tf.GradientTape() as tape:
            tape.watch(sequences)
            loss = tf.reduce_sum(layer(sequences, mask=mask, training=True) ** 2)
        return tape.gradient(loss, [sequences, *weights])

    sequences = tf.constant(sequences)
    return lambda: [result.numpy() for result in run(sequences)]


def torch_call(sequences, units, training):
    import torch

    layer = torch.nn.GRU(sequences.shape[-1], units, batch_first=True)
    sequences = torch.tensor(sequences, requires_grad=training)

    def run():
        if not training:
            with torch.inference_mode():
                return layer(sequences)
        return torch.autograd.grad((layer(sequences)[0] ** 2).sum(), [sequences, *layer.parameters()])

    return run


def contenders(shape, variant, training):
    """The case's functions by name."""
    batch, steps, features, units = shape
    random_values = np.random.default_rng(0)
    sequences = random_values.normal(size=(batch, steps, features)).astype("float32")
    mask = None
    if variant == "mask":
        mask = tf.constant(np.arange(steps) < random_values.integers(steps // 2, steps, (batch, 1), endpoint=True))
    calls = {
        name: tensorflow_call(layer, {**options, **VARIANTS[variant]}, jit, sequences, units, mask, training)
        for name, (layer, options, jit) in TENSORFLOW.items()
    }
    if variant == "plain" and importlib.util.find_spec("torch"):
        calls["torch"] = torch_call(sequences, units, training)
    return calls


def seconds_of(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(calls, seconds):
    """Times of every contender in interleaved rounds, for about so many seconds and five rounds at least."""
    first = {name: seconds_of(call) for name, call in calls.items()}
    rounds = []
    start = time.perf_counter()
    while len(rounds) < 5 or time.perf_counter() - start < seconds:
        rounds.append({name: seconds_of(call) for name, call in calls.items()})
    results = {}
    for name in calls:
        times = np.array([r[name] for r in rounds])
        ratios = np.array([r["keras"] / r[name] for r in rounds])
        results[name] = {
            "milliseconds": [round(1e3 * q, 3) for q in np.quantile(times, (0.25, 0.5, 0.75))],
            "times_as_fast_as_keras": [round(q, 3) for q in np.quantile(ratios, (0.25, 0.5, 0.75))],
            "first_call_seconds": round(first[name], 2),
        }
    return len(rounds), results


def provenance():
    """Where and with what the numbers were measured."""
    cpu = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    git = ["git", "-C", str(Path(__file__).parent)]
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": subprocess.run(
            [*git, "describe", "--always", "--dirty"], capture_output=True, text=True
        ).stdout.strip(),
        "cpu": cpu[0] if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only the first shape's plain case and the smallest ones")
    parser.add_argument("--seconds", type=float, default=10.0, help="about how long to measure each case")
    parser.add_argument("--output", type=Path, help="the JSON file; by default one named by the time, in results/")
    arguments = parser.parse_args()

    cases = [(shape, "plain") for shape in SHAPES] + [
        (SHAPES[0], variant) for variant in VARIANTS if variant != "plain"
    ]
    if arguments.quick:
        cases = [(SHAPES[0], "plain"), (SHAPES[3], "plain")]
    report = {"provenance": provenance(), "cases": []}
    for shape, variant in cases:
        for training in (True, False):
            if variant == "recurrent dropout" and not training:
                continue  # off at inference
            count, results = measure(contenders(shape, variant, training), arguments.seconds)
            case = {"shape": shape, "variant": variant, "training": training, "rounds": count, "results": results}
            report["cases"].append(case)
            medians = ", ".join(f"{name} {r['milliseconds'][1]:.1f}" for name, r in results.items())
            print(f"{shape} {variant} {'training' if training else 'inference'}: {medians} ms", flush=True)
    stamp = report["provenance"]["time"].replace(":", "")
    output = arguments.output or Path(__file__).parent / "results" / f"{stamp}.json"
    output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
