"""The page of replications: which runs there are, what came out otherwise, and whether the intervals are honest."""

import io

from repro.compare import compare, expected
from repro.kit.figure_style import STYLE

MARKERS = "osD^vP*X<>"


def write_replications(pages, replications, result, judged):
    """Write what `replications.md` includes: three pieces of Markdown and a figure.

    Args:
        pages: the folder of the staged pages.
        replications: the `Result`s of the register, by name.
        result: that of the book as it is built here.
        judged: its claims.
    """
    comparisons = {name: compare(result, other, judged) for name, other in replications.items()}
    for name, text in {
        "replications-runs.txt": _runs(replications, comparisons, judged),
        "replications-differences.txt": _differences(replications, judged),
        "replications-calibration.txt": _calibration(comparisons),
    }.items():
        (pages / name).write_text(text, encoding="utf-8")
    (pages / "replications.svg").write_text(_figure(replications, result, judged), encoding="utf-8")


def _runs(replications, comparisons, judged):
    if not replications:
        return "No replication is on record yet.\n"
    written = {claim["id"]: claim["verdict"] for claim in judged}
    lines = []
    for name, result in replications.items():
        run = result.run
        common = [claim for claim in result.verdicts if claim in written]
        kept = sum(result.verdicts[claim] == written[claim] for claim in common)
        counts = ", ".join(f"{count} {status}" for status, count in sorted(comparisons[name].count().items()))
        lines.append(
            f"1. **Seed {run['seed']}**, profile `{run['profile']}`, on {run['processor']} ({run['system']}; "
            f"{run['instruction set']}; kernels `{run['kernels']}`), {run['date']}. Python {run['python']}, "
            f"{run['versions']}, commit {run['commit']}. **{kept} of {len(common)} verdicts held.** "
            f"Numbers beside those of this page's run: {counts}."
        )
    return "\n".join(lines) + "\n"


def _differences(replications, judged):
    lines = []
    for claim in judged:
        others = [
            f"{result.verdicts[claim['id']]} in replication {number}"
            for number, result in enumerate(replications.values(), 1)
            if result.verdicts.get(claim["id"], claim["verdict"]) != claim["verdict"]
        ]
        if others:
            link = f'<a href="ledger.html#{claim["id"]}">{claim["id"]}</a>'
            lines.append(f"- {link}: written {claim['verdict']}, {', '.join(others)}.")
    return "\n".join(lines or ["In every replication each claim had the verdict that is written down."]) + "\n"


def _calibration(comparisons):
    """How many of the sampled numbers lay outside, over the replications from other seeds."""
    others = [comparison for comparison in comparisons.values() if not comparison.same_seed]
    told = []
    for kind, words in (("samples", "means over seeds"), ("interval", "numbers with an interval of another kind")):
        counts = [comparison.outside(kind) for comparison in others]
        outside, total = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
        if total:
            told.append(f"{outside} of {total} {words} ({outside / total:.1%}) lay outside")
    if not told:
        return "No replication from another seed is on record yet, so there is nothing to count.\n"
    return f"Over the replications from other seeds, {' and '.join(told)}.\n"


def _figure(replications, result, judged):
    """SVG: the first sampled number of each claim in every run, in units of what another run may differ by."""
    import matplotlib as mpl  # slow to import
    from matplotlib.figure import Figure

    effects = {}
    for claim in judged:
        names = [item["name"] for item in claim["evidence"] if item["samples"]]
        if names and result.numbers[names[0]].samples:
            effects[claim["id"]] = names[0]
    with mpl.rc_context(STYLE | {"font.size": 9}):
        figure = Figure(figsize=(4.6, 1.4 + 0.27 * len(effects)))
        axis = figure.subplots()
        axis.axvspan(-1, 1, color="tab:gray", alpha=0.25, linewidth=0)
        runs = [("this page's run", result), *((f"replication {i}", r) for i, r in enumerate(replications.values(), 1))]
        for place, (label, run) in enumerate(runs):
            points = [_scaled(result.numbers[name], run.numbers.get(name)) for name in effects.values()]
            shown = [(row, *point) for row, point in enumerate(points) if point]
            shift = 0.6 * ((place + 0.5) / len(runs) - 0.5)
            for row, _, low, high in shown:
                axis.plot([low, high], [row + shift] * 2, color=f"C{place % 10}", linewidth=1)
            axis.plot(
                [value for _, value, *_ in shown],
                [row + shift for row, *_ in shown],
                MARKERS[place % len(MARKERS)],
                color=f"C{place % 10}",
                markersize=3.5,
                label=label,
            )
        axis.set_yticks(range(len(effects)), effects)
        axis.set_ylim(len(effects) - 0.4, -0.6)
        axis.set_xlim(-3, 3)
        axis.set_xlabel("difference from this page's run,\nin units of what is expected at most")
        figure.legend(loc="outside lower center", ncols=2)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def _scaled(reference, number):
    """Value and interval of a number as differences from the reference, where 1 is the end of what is expected."""
    import numpy as np

    if number is None or not number.samples:
        return None
    scale = np.log if reference.log else np.asarray
    low, high = (scale(end) for end in expected(reference, number))
    half = (high - low) / 2 or 1.0  # 0 where every value is 0
    found = [(scale(value) - scale(reference.value)) / half for value in (number.value, *number.interval)]
    return [float(np.clip(value, -2.95, 2.95)) for value in found]
