"""What a benchmark's JSON file says, in Markdown: `python benchmarks/report.py benchmarks/results/NAME.json`.

A table of all cases, geometric means over the plain cases, and for each target whether it was met.
"""

import json
import math
import sys
from pathlib import Path

MEDIAN = 1  # of [lower quartile, median, upper quartile]
CONTENDERS = ("keras", "keras jit", "torch", "onnxruntime", "graph", "xla", "auto", "auto jit")


def markdown(measured):
    """All of it as one text."""
    sections = [origin(measured), table(measured["cases"], CONTENDERS)]
    if measured["growth"]:
        sections.append("Growing T:\n\n" + table(measured["growth"], CONTENDERS))
    sections += ["Geometric means, times as fast as keras:\n\n" + means(measured), verdicts(measured)]
    return "\n\n".join(sections)


def origin(measured):
    where = measured["provenance"]
    device = ", ".join(where["gpus"]) or f"{where['cpu']}, {where['cores']} cores"
    versions = ", ".join(f"{name} {version}" for name, version in where["versions"].items() if version)
    return (
        f"{device}; {measured['gemm_gflops']:.0f} GFLOP/s in a large matrix product; "
        f"load {where['load_average'][0]:.1f}. {versions}; commit {where['commit']}, {where['time']}."
    )


def table(entries, names):
    """Milliseconds, and in brackets how many times as fast as keras: medians."""
    present = [name for name in names if any(name in entry["results"] for entry in entries)]
    rows = [["(B, T, I, H)", "case", *present], ["---", "---", *["---:"] * len(present)]]
    for entry in entries:
        work = f"{entry['variant']}, {'training' if entry['training'] else 'inference'}"
        rows.append([str(tuple(entry["shape"])), work, *(cell(entry["results"].get(name)) for name in present)])
    return rows_of(rows)


def cell(result):
    if result is None:
        return ""
    return f"{result['milliseconds'][MEDIAN]:.3g} ({result['times_as_fast_as_keras'][MEDIAN]:.2f}×)"


def rows_of(rows):
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def means(measured):
    """Over all plain cases, and over those with B > 1."""
    rows = [["work", "shapes", *CONTENDERS], ["---", "---", *["---:"] * len(CONTENDERS)]]
    for training in (True, False):
        for batches, least in (("all", 1), ("B > 1", 2)):
            entries = select(measured, "plain", training, least)
            values = [geometric_mean(ratios(entries, name)) for name in CONTENDERS]
            shown = ["" if value is None else f"{value:.2f}×" for value in values]
            rows.append(["training" if training else "inference", batches, *shown])
    return rows_of(rows)


def select(measured, variant, training, least_batch=1):
    return [
        entry
        for entry in measured["cases"]
        if (entry["variant"], entry["training"]) == (variant, training) and entry["shape"][0] >= least_batch
    ]


def ratios(entries, name="auto", peer="keras"):
    """How many times as fast as the peer, for each entry; None where one of the two was not measured."""
    values = []
    for entry in entries:
        mine, theirs = (entry["results"].get(key) for key in (name, peer))
        if not mine or not theirs:
            values.append(None)
        elif recorded := mine.get(f"times_as_fast_as_{peer}"):
            values.append(recorded[MEDIAN])
        else:
            values.append(theirs["milliseconds"][MEDIAN] / mine["milliseconds"][MEDIAN])
    return values


def known(combine):
    """The same for numbers that may be missing: None if one is, or if there are none."""
    return lambda values: None if not values or None in values else combine(values)


geometric_mean = known(lambda values: math.exp(sum(map(math.log, values)) / len(values)))
least = known(min)


def memory(measured):
    """Keras's peak over ours, for each plain training."""
    peaks = [
        [entry["results"][name]["peak_memory_mib"] for name in ("keras", "auto")]
        for entry in select(measured, "plain", True)
    ]
    return [theirs / ours if ours and theirs else None for theirs, ours in peaks]


def evenness(measured):
    """For each contender but keras, the time of a step at T = 500 over that at the largest T."""
    by_steps = {entry["shape"][1]: entry["results"] for entry in measured["growth"]}
    if 500 not in by_steps:
        return []
    step = {
        steps: {name: result["milliseconds"][MEDIAN] / steps for name, result in by_steps[steps].items()}
        for steps in (500, max(by_steps))
    }
    return [step[500][name] / step[max(by_steps)][name] for name in step[500] if name != "keras"]


def cheapness(measured, variant, training):
    """The plain case's time over the variant's, of `auto` at the same shape."""
    plain = {tuple(entry["shape"]): entry for entry in select(measured, "plain", training)}
    entries = select(measured, variant, training)
    pairs = [(plain[tuple(entry["shape"])], entry) for entry in entries if tuple(entry["shape"]) in plain]
    return [
        a["results"]["auto"]["milliseconds"][MEDIAN] / b["results"]["auto"]["milliseconds"][MEDIAN] for a, b in pairs
    ]


def targets(measured):
    """Each target as what it is about, the number reached (None: not measured) and the least that meets it."""
    rows = []
    for training, against_torch in ((True, 1.3), (False, 1.1)):
        work = "training" if training else "inference"
        every, batches = select(measured, "plain", training), select(measured, "plain", training, 2)
        rows += [
            (f"{work}, keras, slowest shape with B > 1", least(ratios(batches)), 1.4),
            (f"{work}, keras, geometric mean of all shapes", geometric_mean(ratios(every)), 2.0),
            (f"{work}, torch, geometric mean with B > 1", geometric_mean(ratios(batches, peer="torch")), against_torch),
        ]
    inference = select(measured, "plain", False)
    wide = [entry for entry in measured["cases"] if entry["variant"] == "plain" and entry["shape"][-1] >= 256]
    rows += [
        ("training, keras's peak memory over ours, worst shape", least(memory(measured)), 1.0),
        ("training, time of a step at T = 500 over that at the largest T", least(evenness(measured)), 0.8),
        (
            "inference, onnxruntime, geometric mean of all shapes",
            geometric_mean(ratios(inference, peer="onnxruntime")),
            1.0,
        ),
        (
            "part of the GEMM rate, least with H ≥ 256",
            least([e["results"]["auto"]["gemm_fraction"] for e in wide]),
            0.5,
        ),
    ]
    for variant in ("mask", "left mask", "recurrent dropout"):
        costs = cheapness(measured, variant, True) + cheapness(measured, variant, False)
        rows.append((f"plain time over that with {variant}", least(costs), 1 / 1.3))
    return rows


def gpu_targets(measured):
    """The targets on a GPU, of the same form."""
    slowest = {
        variant: least(ratios(select(measured, variant, True) + select(measured, variant, False)))
        for variant in ("plain", "reset before", "recurrent dropout", "left mask")
    }
    return [
        (f"{variant}, keras, slowest case", value, 1.0 if variant == "plain" else 3.0)
        for variant, value in slowest.items()
    ]


def verdicts(measured):
    """A line for each target."""
    rows = gpu_targets(measured) if measured["provenance"]["gpus"] else targets(measured)
    return "\n".join(f"- {verdict(value, wanted)}: {name}" for name, value, wanted in rows)


def verdict(value, wanted):
    if value is None:
        return f"not measured (wanted ≥ {wanted:.2f})"
    if value >= wanted:
        return f"met, {value:.2f} (wanted ≥ {wanted:.2f})"
    return f"missed by {1 - value / wanted:.1%}, {value:.2f} (wanted ≥ {wanted:.2f})"


if __name__ == "__main__":
    print(markdown(json.loads(Path(sys.argv[1]).read_text())))
