"""Reproduction: what is compared how, what is named, and what the register takes."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import mini_book
import numpy as np
import pytest
from scipy import stats

from repro import register as register_module
from repro import reproduce as reproduce_module
from repro import t_interval
from repro.__main__ import main
from repro.chapters import Book, BookError
from repro.compare import compare, expected
from repro.executed import executed_chapters
from repro.ledger import Evidence, judge
from repro.replication_page import write_replications
from repro.reproduce import lines, reproduce
from repro.result import Result

RUN = {
    "profile": "book",
    "seed": 0,
    "date": "2026-01-01",
    "commit": "abc",
    "lock": "def",
    "versions": "keras 3",
    "python": "3.11.1",
    "system": "Linux x86_64, 2 cores",
    "processor": "Some CPU @ 2 GHz",
    "instruction set": "AVX2",
    "kernels": "as installed",
}


def exact(value):
    return Evidence("a", value, None, "chapter")


def sampled(row, log=False):
    mean, interval = t_interval(row, log=log)
    return Evidence("a", mean, "s", "chapter", interval, 0.95, tuple(map(float, row)), log)


def interval(value, half):
    return Evidence("a", value, None, "chapter", (value - half, value + half), 0.95)


def status(reference, found, tolerance=None):
    claims = [{"id": "000-a", "evidence": [{"name": "a"}], "tolerance": tolerance}] if tolerance else []
    results = [Result(RUN, {"a": number} if number else {}, {}) for number in (reference, found)]
    (row,) = compare(*results, claims).numbers
    return row["status"]


ROW = [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("reference", "found", "expected"),
    [
        (exact(1.0), exact(1.0), "identical"),
        (exact(1.0), exact(1.0 + 1e-8), "equal to tolerance"),
        (exact(0.0), exact(1e-15), "equal to tolerance"),
        (exact(1.0), exact(1.001), "differs"),
        (exact("cpu"), exact("gpu"), "differs"),
        (exact(True), exact(False), "differs"),
        (exact(1.0), None, "missing"),
        (None, exact(1.0), "missing"),
        (exact(2.0), sampled(ROW), "missing"),
        (sampled(ROW), sampled(ROW), "identical"),
        (sampled(ROW), sampled([1.5, 2.5, 3.5]), "as expected"),
        (sampled(ROW), sampled([5.0, 6.0, 7.0]), "outside"),
        (sampled([1.0, 1.0]), sampled([1.0, 1.0, 1.0]), "as expected"),
        (sampled([1.0, 1.0]), sampled([1.1, 1.1]), "outside"),
        (interval(0.0, 1.0), interval(1.3, 1.0), "as expected"),
        (interval(0.0, 1.0), interval(1.5, 1.0), "outside"),
    ],
)
def test_each_kind_of_number_has_its_own_comparison(reference, found, expected):
    assert status(reference, found) == expected


def test_a_tolerance_beside_the_claim_serves_its_evidence():
    assert status(exact(1.0), exact(1.3), {"relative": 0.5, "because": "a clock"}) == "equal to tolerance"
    assert status(exact(1e-7), exact(3e-7), {"absolute": 1e-6, "because": "rounding"}) == "equal to tolerance"


@pytest.mark.parametrize("log", [False, True])
def test_outside_is_what_the_two_sample_t_test_rejects(log):
    rng = np.random.default_rng(0)
    for n in (2, 5, 9):
        a, b = rng.normal(1, 0.2, 5), rng.normal(1.1, 0.2, n)
        rows = [np.exp(a), np.exp(b)] if log else [a, b]
        rejected = stats.ttest_ind(a, b).pvalue < 0.05
        assert (status(*(sampled(row, log) for row in rows)) == "outside") == rejected
    low, high = expected(sampled(np.exp(a), True), sampled(np.exp(a), True))
    assert math.sqrt(low * high) == pytest.approx(np.exp(a.mean()))


def test_of_honest_intervals_one_in_twenty_lies_outside():
    rng = np.random.default_rng(0)
    pairs = rng.normal(size=(1000, 2, 4))
    numbers = [{f"a{i}": sampled(pair[side]) for i, pair in enumerate(pairs)} for side in (0, 1)]
    outside, count = compare(*(Result(RUN, found, {}) for found in numbers), []).outside()
    assert count == 1000
    assert outside / count == pytest.approx(0.05, abs=0.015)


class Reproduced(NamedTuple):
    """The folder of a book, and what stands in the place of its execution."""

    path: Path
    run: Callable


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A book with a reference; to execute it leaves what the chapter `sums` finds, `run.found` of it."""
    mini_book.write(tmp_path)
    (tmp_path / "book" / "replications.md").write_text("# Replications\n")
    mini_book.pretend_found(tmp_path)
    book = Book(tmp_path)
    executed = executed_chapters(book)
    reference = Result.of(book, executed, judge(book.claims, executed))
    reference.write(tmp_path / "reference.json")

    def run(chapters):
        for chapter in chapters:
            path = mini_book.pretend_found(tmp_path, seed=chapter.book.seed, **run.found)
            (chapter.book.built / "executed").mkdir(parents=True, exist_ok=True)
            path.rename(chapter.book.built / "executed" / path.name)
        return []

    run.found = {}
    monkeypatch.setattr(reproduce_module, "run", run)
    monkeypatch.chdir(tmp_path)
    return Reproduced(tmp_path, run)


def command(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["repro", "reproduce", *arguments])
    status = main()
    printed, complaints = capsys.readouterr()
    return int(status or 0), printed, complaints


def test_what_comes_out_again_ends_well_and_goes_to_the_register(root, monkeypatch, capsys):
    status, printed, complaints = command(monkeypatch, capsys, "reference.json", "--seed", "7")
    assert (status, complaints) == (0, "")
    assert "from the seed 7" in printed
    assert "verdicts: 3 same" in printed
    (entry,) = (root.path / "replications").iterdir()
    assert "seed-7" in entry.name
    assert f"For the register: {entry}" in printed
    found = Result.read(entry)
    assert found.run["seed"] == 7
    assert found.numbers["sums_mean"].samples == pytest.approx([1.9, 2.0, 2.1])
    assert found.verdicts == {"000-total": "confirmed", "001-mean": "refuted", "001-author": "refuted"}


def test_a_number_moved_and_a_verdict_turned_round_are_both_named(root, monkeypatch, capsys):
    path = root.path / "reference.json"
    reference = json.loads(path.read_text())
    reference["numbers"]["sums_mean"]["samples"] = [3.9, 4.0, 4.1]
    reference["numbers"]["sums_total"]["value"] = 7
    reference["verdicts"]["001-mean"] = "confirmed"
    path.write_text(json.dumps(reference))
    status, printed, _ = command(monkeypatch, capsys, "reference.json", "--same-seed")
    assert status == 1
    assert "outside: sums_mean: expected 3.7" in printed
    assert "differs: sums_total: reference 7, here 6" in printed
    assert "contradicts: 001-mean: reference confirmed, here refuted" in printed
    report = json.loads((root.path / "_build" / "reproduce-book-seed-0" / "report.json").read_text())
    assert [row["id"] for row in report["verdicts"] if row["outcome"] == "contradicts"] == ["001-mean"]
    page = (root.path / "_build" / "reproduce-book-seed-0" / "report.html").read_text()
    assert '<tr class="notable"><th scope="row">001-mean</th>' in page
    assert '<tr class="notable"><th scope="row">sums_mean</th>' in page


def test_from_another_seed_what_is_drawn_may_differ_and_is_counted_only(root):
    root.run.found = {"total": 7}
    comparison, _, _ = reproduce(root.path, root.path / "reference.json", seed=7)
    assert comparison.count()["differs"] == 1
    assert not any("sums_total" in line for line in lines(comparison))


def test_a_failed_chapter_is_told_and_not_registered(root, monkeypatch, capsys):
    from repro.content_key import content_key
    from repro.executed import failure_path

    def run(chapters):
        for chapter in chapters:
            failure_path(chapter).parent.mkdir(parents=True)
            failure_path(chapter).write_text(json.dumps({"key": content_key(chapter, []), "error": "E"}))
        return ["sums"]

    monkeypatch.setattr(reproduce_module, "run", run)
    status, printed, _ = command(monkeypatch, capsys, "reference.json", "--seed", "7")
    assert status == 1
    assert "not-judged: 000-total: reference confirmed, here not-judged" in printed
    assert "missing: sums_total" in printed
    assert not (root.path / "replications").exists()


def test_without_a_seed_one_is_drawn_below_those_for_trying_out(root, monkeypatch):
    drawn = iter([0, 42])
    monkeypatch.setattr("secrets.randbelow", lambda limit: next(drawn) if limit == 10_000 else 1 / 0)
    _, _, entry = reproduce(root.path, root.path / "reference.json")
    assert Result.read(entry).run["seed"] == 42, "not that of the reference"


def test_the_newest_in_the_register_is_the_reference(root):
    with pytest.raises(BookError, match="replications holds no replication; pass the address or the path"):
        reproduce(root.path)
    _, _, first = reproduce(root.path, root.path / "reference.json", seed=7)
    _, _, second = reproduce(root.path, seed=8)
    assert first != second
    _, _, again = reproduce(root.path, root.path / "reference.json", seed=7)
    assert again.stem == f"{first.stem}-2", "nothing is overwritten"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("{}", "is a required property; it is no claims.json and no replication"),
        (json.dumps({"$schema": "s", "run": RUN, "verdicts": {"a": "so"}, "numbers": {}}), "no claims.json"),
    ],
)
def test_what_is_no_reference_is_an_error(root, text, message):
    path = root.path / "wrong.json"
    path.write_text(text)
    with pytest.raises(BookError, match=message):
        reproduce(root.path, path)
    with pytest.raises(BookError, match="nosuch.json cannot be read"):
        reproduce(root.path, root.path / "nosuch.json")


def test_a_seed_that_is_the_reference_s_must_be_meant(root):
    with pytest.raises(BookError, match="seed=0 is that of the reference; pass another, or --same-seed"):
        reproduce(root.path, root.path / "reference.json", seed=0)


def test_the_register_is_read_oldest_first_and_checked(tmp_path):
    folder = tmp_path / "replications"
    for name, date in (("a", "2026-02-01"), ("b", "2026-01-01")):
        Result(RUN | {"date": date}, {"x": sampled(ROW)}, {"000-a": "refuted"}).write(folder / f"{name}.json")
    found = register_module.register(tmp_path)
    assert list(found) == ["b", "a"]
    assert register_module.newest(tmp_path) == folder / "a.json"
    claim = {"id": "000-a", "verdict": "confirmed"}
    assert register_module.held(claim, found) == {"held": 0, "of": 2}
    assert register_module.held(claim | {"id": "000-new"}, found) == {"held": 0, "of": 0}
    (folder / "c.json").write_text("{}")
    with pytest.raises(BookError, match="c.json"):
        register_module.register(tmp_path)


def test_the_page_tells_runs_differences_and_the_share_outside(tmp_path):
    evidence = {"name": "a", "samples": ROW}
    claims = [
        {"id": "000-a", "verdict": "confirmed", "evidence": [evidence], "tolerance": {"absolute": 1}},
        {"id": "000-b", "verdict": "refuted", "evidence": []},
    ]
    here = Result(RUN, {"a": sampled(ROW)}, {"000-a": "confirmed", "000-b": "refuted"})
    other = Result(RUN | {"seed": 7}, {"a": sampled([7.0, 8.0, 9.0])}, {"000-a": "depends", "000-b": "refuted"})
    same = Result(RUN | {"kernels": "X=1"}, {"a": sampled(ROW)}, {"000-a": "confirmed", "000-b": "refuted"})
    write_replications(tmp_path, {"one": other, "two": same}, here, claims)
    runs = (tmp_path / "replications-runs.txt").read_text().splitlines()
    assert runs[0].startswith("1. **Seed 7**")
    assert runs[0].endswith("**1 of 2 verdicts held.** Numbers beside those of this page's run: 1 outside.")
    assert "kernels `X=1`" in runs[1]
    assert runs[1].endswith("**2 of 2 verdicts held.** Numbers beside those of this page's run: 1 identical.")
    differences = (tmp_path / "replications-differences.txt").read_text()
    assert differences == '- <a href="ledger.html#000-a">000-a</a>: written confirmed, depends in replication 1.\n'
    assert "1 of 1 means over seeds (100.0%) lay outside" in (tmp_path / "replications-calibration.txt").read_text()
    assert "000-a" in (tmp_path / "replications.svg").read_text()


def test_the_page_of_an_empty_register_says_so(tmp_path):
    write_replications(tmp_path, {}, Result(RUN, {}, {}), [])
    assert "No replication is on record yet" in (tmp_path / "replications-runs.txt").read_text()
    assert (tmp_path / "replications.svg").exists()


def test_every_replication_of_the_book_is_valid():
    assert register_module.register(mini_book.ROOT)
