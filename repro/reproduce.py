"""Execute the book again from other seeds, and say what of it came out again."""

import json
import secrets
import shutil
from dataclasses import asdict
from pathlib import Path

import jinja2

from repro.chapters import Book, BookError
from repro.compare import compare
from repro.execute import run
from repro.executed import executed_chapters
from repro.ledger import judge
from repro.register import add, newest
from repro.result import Result

PILOT = 10_000  # seeds from here on are for choosing sizes and thresholds; none of them judges


def reproduce(root, where=None, seed=None, same_seed=False):
    """Execute all chapters afresh, compare with a reference, and write the report and the replication.

    Args:
        root: the folder of the book.
        where: address or path of a `claims.json` or of a file of the register; by default the newest in the register.
        seed: the seed of this run; by default one is drawn.
        same_seed: take that of the reference.

    Returns:
        The `Comparison`, and the paths of the report as a page and of the new file in the register (None where a
        chapter failed, or the sizes are those of `smoke`, which prove nothing).

    Raises:
        BookError: the reference cannot be read, or the seed is the reference's though another was asked for.
    """
    reference = Result.read(where or newest(root))
    seed = _seed(reference.run["seed"], seed, same_seed)
    book = Book(root, reference.run["profile"], seed, f"reproduce-{reference.run['profile']}-seed-{seed}")
    print(f"Executing every chapter at the profile {book.profile} from the seed {seed}.", flush=True)
    failed = run(book.chapters())
    executed = executed_chapters(book)
    judged = judge(book.claims, executed)
    result = Result.of(book, executed, judged)
    comparison = compare(reference, result, judged)
    report = _write_report(book.built, reference, result, comparison)
    if failed or book.profile == "smoke":
        return comparison, report, None
    entry = add(root, result)
    shutil.rmtree(book.built / "executed")  # the next reproduction from this seed is a new one
    return comparison, report, entry


def lines(comparison):
    """The report for a terminal: what differs by name, all else in numbers."""
    for status in ("differs", "outside", "missing"):
        for number in comparison.numbers:
            if number["status"] == status and not (status == "differs" and not comparison.same_seed):
                expected = " expected {:.4g} to {:.4g},".format(*number["expected"]) if number["expected"] else ""
                yield f"{status}: {number['name']}:{expected} reference {number['reference']}, here {number['found']}"
    for verdict in comparison.verdicts:
        if verdict["outcome"] != "same":
            yield f"{verdict['outcome']}: {verdict['id']}: reference {verdict['reference']}, here {verdict['found']}"
    yield ""
    yield f"numbers: {_told(comparison.count())}"
    for kind, words in (("samples", "means over seeds"), ("interval", "other numbers with an interval")):
        outside, count = comparison.outside(kind)
        if count and not comparison.same_seed:
            share = f"{outside / count:.1%} of {count}"
            yield f"{words}: {share} lie outside what was expected of a second run (about 5 % should)"
    outcomes = [verdict["outcome"] for verdict in comparison.verdicts]
    yield f"verdicts: {_told({outcome: outcomes.count(outcome) for outcome in dict.fromkeys(outcomes)})}"


def _told(counts):
    return ", ".join(f"{count} {words}" for words, count in counts.items())


def _seed(of_reference, seed, same_seed):
    if same_seed:
        return of_reference
    if seed is None:
        return next(drawn for drawn in iter(lambda: secrets.randbelow(PILOT), None) if drawn != of_reference)
    if seed == of_reference:
        raise BookError(f"seed={seed} is that of the reference; pass another, or --same-seed")
    return seed


def _write_report(folder, reference, result, comparison):
    """Write `report.json` and `report.html`; returns the path of the latter."""
    found = asdict(comparison) | {"reference": reference.run, "run": result.run}
    (folder / "report.json").write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
    template = jinja2.Template(
        Path(__file__).with_name("report.html.jinja").read_text(encoding="utf-8"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    page = folder / "report.html"
    summary = list(lines(comparison))
    page.write_text(template.render(found, summary=summary[summary.index("") + 1 :]), encoding="utf-8")
    return page
