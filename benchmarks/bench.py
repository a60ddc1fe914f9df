"""Time GRU layers against each other: `python benchmarks/bench.py [--quick] [--seconds S] [--output FILE]`.

All contenders of a case (see `contenders.py`) take turns, one call each in a round and in an order drawn anew, so that
whatever else the machine does falls on all of them. A large matrix product takes part in every round: it says how fast
the machine was just then. Every contender's first result is compared with Keras's before anything is timed.

The JSON file holds for each case and contender
- `milliseconds` of a call, `times_as_fast_as_keras` and `times_as_fast_as_torch`: lower quartile, median and upper
  quartile over the rounds; the ratios are taken within each round;
- `gemm_fraction`: the case's FLOPs (see `Case.flops`) a second, as a fraction of those of the matrix product;
- `first_call_seconds`: from nothing to the first result, with what is traced and compiled;
- `peak_memory_mib`: of a plain training step, in a process of its own (see `peak_memory.py`).
What was not measured is null. `growth` holds cases of the same form that differ in T alone.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import random
import re
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import contenders
import numpy as np
import peak_memory
import report
import tensorflow as tf
from contenders import CONTENDERS, GPUS, VARIANTS, Case

SHAPES = [  # B, T, I, H
    (32, 100, 128, 128),
    (64, 100, 64, 256),
    (1, 500, 32, 64),
    (128, 50, 16, 32),
    (16, 200, 300, 512),
]
GROWTH = [(8, steps, 32, 64) for steps in (50, 100, 200, 500, 1000, 2000, 5000)]
GROWING = ("keras", "graph", "xla")
GEMM_SIZE = 8192 if GPUS else 2048
LEAST_ROUNDS = 5
PAUSE = 0.003  # seconds between two calls: the threads of the first then wait for work no longer
RESULTS = Path(__file__).parent / "results"


def plan(quick):
    """The cases and the series of growing T."""
    if quick:
        return [Case(SHAPES[0]), Case(SHAPES[0], training=False), Case(SHAPES[0], "mask")], []
    cases = [Case(shape, training=training) for shape in SHAPES for training in (True, False)]
    for variant in list(VARIANTS)[1:]:
        cases.append(Case(SHAPES[0], variant))
        if variant != "recurrent dropout":  # off at inference
            cases.append(Case(SHAPES[0], variant, training=False))
    return cases, [Case(shape) for shape in GROWTH]


def matrix_product():
    factor = tf.random.normal((GEMM_SIZE, GEMM_SIZE))
    product = tf.function(tf.matmul)

    def run():
        product(factor, factor)
        tf.test.experimental.sync_devices()

    run()
    return run


def seconds_of(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def first_calls(case, names):
    """The contenders that serve the case, the seconds to the first result of each, and these results as arrays."""
    taking_part, seconds, arrays = {}, {}, {}
    for name in names:
        start = time.perf_counter()
        if contender := CONTENDERS[name](case):
            result = contender.run()
            seconds[name] = time.perf_counter() - start
            taking_part[name] = contender
            arrays[name] = contender.arrays(result)
    return taking_part, seconds, arrays


def measure(case, seconds, names=tuple(CONTENDERS), *, memory=False):
    """The entry of a case, from rounds of about so many seconds together."""
    gemm = matrix_product()
    taking_part, first, arrays = first_calls(case, names)
    if case.variant == "recurrent dropout":  # each draws its own masks: compare the layers where they draw none
        *_, arrays = first_calls(Case(case.shape, case.variant, training=False), taking_part)
    contenders.require_agreement(arrays)

    calls = {"gemm": gemm, **{name: contender.run for name, contender in taking_part.items()}}
    rounds = []
    start = time.perf_counter()
    while len(rounds) < LEAST_ROUNDS or time.perf_counter() - start < seconds:
        times = {}
        for name in random.sample(list(calls), len(calls)):
            time.sleep(PAUSE)
            times[name], _ = seconds_of(calls[name])
        rounds.append(times)
    times = {name: np.array([r[name] for r in rounds]) for name in calls}

    gemm_rate = 2 * GEMM_SIZE**3 / times["gemm"]
    results = {
        name: {
            "milliseconds": quartiles(1e3 * times[name]),
            "times_as_fast_as_keras": quartiles(times["keras"] / times[name]),
            "times_as_fast_as_torch": quartiles(times["torch"] / times[name]) if "torch" in times else None,
            "gemm_fraction": round(float(np.median(case.flops / times[name] / gemm_rate)), 4),
            "first_call_seconds": round(first[name], 3),
            "peak_memory_mib": peak_memory.in_own_process(case, name) if memory else None,
        }
        for name in taking_part
    }
    return {
        "shape": case.shape,
        "variant": case.variant,
        "training": case.training,
        "rounds": len(rounds),
        "gemm_gflops": round(float(np.median(gemm_rate)) / 1e9, 1),
        "results": results,
    }


def quartiles(values):
    return [float(f"{quartile:.4g}") for quartile in np.quantile(values, (0.25, 0.5, 0.75))]


def provenance():
    """Where and with what the numbers were measured."""
    packages = ("tensorflow", "keras", "numpy", "torch", "onnxruntime")
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": subprocess.run(git, capture_output=True, text=True).stdout.strip(),
        "command": shlex.join(["python", *sys.argv]),
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": os.getloadavg(),
        "gpus": [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in GPUS],
        "versions": {"python": platform.python_version()} | {package: version(package) for package in packages},
    }


def cpu_model():
    file = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", file.read_text()) if file.exists() else None
    return found[1] if found else platform.processor()


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def default_output(origin, quick):
    """A file named by the device."""
    device = origin["gpus"][0] if origin["gpus"] else f"cpu-{origin['cores']}-cores"
    return RESULTS / f"{'quick-' if quick else ''}{re.sub('[^a-z0-9]+', '-', device.lower())}.json"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="the first shape, three cases, without the memory: a minute"
    )
    parser.add_argument("--seconds", type=float, help="about how long to measure each case; 12, or 3 with --quick")
    parser.add_argument("--output", type=Path, help="the JSON file; by default one named by the device, in results/")
    options = parser.parse_args(arguments)
    seconds = (3 if options.quick else 12) if options.seconds is None else options.seconds

    measured = {"provenance": provenance(), "gemm_gflops": None, "cases": [], "growth": []}
    cases, growth = plan(options.quick)
    for case in cases:
        memory = case.training and case.variant == "plain" and not options.quick
        measured["cases"].append(measure(case, seconds, memory=memory))
        show(case, measured["cases"][-1])
    for case in growth:
        measured["growth"].append(measure(case, seconds / 2, GROWING))
        show(case, measured["growth"][-1])
    measured["gemm_gflops"] = float(np.median([entry["gemm_gflops"] for entry in measured["cases"]]))
    output = options.output or default_output(measured["provenance"], options.quick)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(as_json(measured))
    print(f"{output}\n\n{report.markdown(measured)}")


def as_json(measured):
    """Indented, but each list of numbers on one line."""
    text = json.dumps(measured, indent=1) + "\n"
    return re.sub(r"\[[^\[\]{}]+\]", lambda found: json.dumps(json.loads(found[0])), text)


def show(case, entry):
    medians = ", ".join(f"{name} {result['milliseconds'][1]:.1f}" for name, result in entry["results"].items())
    print(f"{case}: {medians} ms", flush=True)


if __name__ == "__main__":
    main()
