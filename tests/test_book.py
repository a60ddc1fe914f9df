"""The chapters of the book: each one runs, is judged, and is told in the agreed order.

A lab has parameters; lessons and recipes have an order of their own, see `test_lessons.py`.
"""

import ast
import re

import mini_book
import pytest
import real_book

from repro.chapters import PROFILES, Book, Chapter
from repro.executed import Executed, executed_path
from repro.published import published

BOOK = Book(mini_book.ROOT, real_book.PROFILE).chapters()

LABS = [chapter for chapter in BOOK if chapter.has_parameters]

each_chapter = pytest.mark.parametrize("chapter", BOOK, ids=lambda chapter: chapter.name)
each_lab = pytest.mark.parametrize("chapter", LABS, ids=lambda chapter: chapter.name)


def assigned(code):
    """The names to which code assigns."""
    names = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)]
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


def cells(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def mistakes(chapter):
    """Where a chapter leaves the skeleton."""
    prose = "\n\n".join(cell.source for cell in chapter.notebook.cells if cell.cell_type == "markdown")
    metadata = chapter.notebook.metadata
    if metadata.get("kernelspec", {}).get("name") != "python3":
        yield "no kernel python3"
    settings = metadata.get("repro", {})
    if "smoke" not in settings.get("profiles", {}) or not settings.get("time_limit"):
        yield "no time limit or no smoke profile"
        return

    parameters = cells(chapter.notebook, "parameters")
    if len(parameters) != 1 or not parameters[0].source.startswith('PROFILE = "book"\nSEED = 0\n'):
        yield "no parameters cell with PROFILE and SEED"
        return
    for profile in PROFILES:
        if unknown := set(Chapter(Book(chapter.root, profile), chapter.name).parameters) - assigned(
            parameters[0].source
        ):
            yield f"{profile} overrides what is no parameter: {sorted(unknown)}"

    if (
        not re.match(r"(\([a-z0-9-]+\)=\n)?# [^\n]+\n\n(?!\**What you)\S", prose)
        or len(re.findall(r"^# ", prose, re.MULTILINE)) != 1
    ):
        yield "no title with a promise under it"
    if not re.search(r"What you will be able to do[^\n]*\n\n(- [^\n]+\n(  [^\n]+\n)*){3,5}(\n|$)", prose + "\n"):
        yield "not three to five things that the reader will be able to do"
    if re.findall(r"^## (Summary|Exercises)$", prose, re.MULTILINE) != ["Summary", "Exercises"]:
        yield "does not end with a summary and exercises"
    if not re.search(r"^\s*assert ", "\n".join(chapter.code), re.MULTILINE):
        yield "checks nothing"

    exercises = re.findall(r"^\*\*\d+\. ", prose.partition("\n## Exercises\n")[2], re.MULTILINE)
    solutions = [
        cell
        for cell in cells(chapter.notebook, "hide-cell")
        if cell.metadata.get("mystnb", {}).get("code_prompt_show") == "Show the solution"
    ]
    if not exercises or len(exercises) != len(solutions):
        yield f"{len(exercises)} exercises, {len(solutions)} solutions"
    if chapter.notebook.cells[-1].source != "repro.stamp(profile=PROFILE, seed=SEED)":
        yield "the last cell is not the stamp"


def untold_figures(notebook):
    """The cells of an executed notebook that show a picture without alternative text, caption and name."""
    for index, cell in enumerate(notebook.cells):
        pictures = sum(
            any(kind.startswith("image/") for kind in output.get("data", {})) for output in cell.get("outputs", [])
        )
        shown = cell.metadata.get("mystnb", {})
        told = shown.get("image", {}).get("alt") and {"caption", "name"} <= set(shown.get("figure", {}))
        if pictures > 1 or (pictures and not told):
            yield index


@each_lab
def test_a_chapter_keeps_to_the_skeleton(chapter):
    assert list(mistakes(chapter)) == []


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    real_book.executed(tmp_path_factory)


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestAtTheSmokeProfile:
    @each_chapter
    def test_a_chapter_runs_to_its_stamp(self, executed, chapter):
        notebook = Executed.read(executed_path(chapter))
        assert notebook.stamp["rows"]["profile"] == real_book.PROFILE
        assert all(cell.execution_count for cell in notebook.notebook.cells if cell.cell_type == "code")

    @each_chapter
    def test_every_figure_can_be_told_without_seeing_it(self, executed, chapter):
        assert list(untold_figures(published(chapter, Executed.read(executed_path(chapter)), ""))) == []

    @each_chapter
    def test_no_cell_prints_warnings_or_logs(self, executed, chapter):
        streams = [
            output.text
            for cell in published(chapter, Executed.read(executed_path(chapter)), "").cells
            for output in cell.get("outputs", [])
            if output.get("name") == "stderr"
            and not {"remove-stderr", "remove-output"} & set(cell.metadata.get("tags", []))
        ]
        assert streams == []

    def test_the_claims_are_valid(self, executed):
        status, printed, complaints = mini_book.repro(mini_book.ROOT, "check", "--profile", real_book.PROFILE)
        assert status == 0, complaints
        assert re.search(r"^\d+ claims: ", printed, re.MULTILINE)


TOLD = """
What you will be able to do:

- one;
- two,
  and more;
- three.

```{code-cell} ipython3
import repro
assert N > 0
```

## Summary

- It holds.

## Exercises

**1. Count.** How many?

```{code-cell} ipython3
---
tags: [hide-cell]
mystnb: {code_prompt_show: "Show the solution"}
---
N
```
"""


def skeleton(root, old="", new=""):
    mini_book.write(root)
    mini_book.write_chapter(root, "sums", TOLD + mini_book.STAMP)
    source = root / "book" / "sums.md"
    text = source.read_text().replace("# A chapter\n", "# A chapter\n\nIt promises something.\n")
    assert old in text
    source.write_text(text.replace(old, new, 1))
    return list(mistakes(mini_book.chapter(root, "sums")))


def test_the_skeleton_can_be_kept(tmp_path):
    assert skeleton(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("name: python3", "name: python2", "no kernel python3"),
        ("  time_limit: 60\n", "", "no time limit or no smoke profile"),
        ("    smoke: {N: 2}", "    full: {N: 2}", "no time limit or no smoke profile"),
        (":tags: [parameters]", ":tags: [hide-input]", "no parameters cell with PROFILE and SEED"),
        ("SEED = 0", "SEED = 1", "no parameters cell with PROFILE and SEED"),
        ("smoke: {N: 2}", "smoke: {M: 2}", "smoke overrides what is no parameter: ['M']"),
        ("\n\nIt promises something.\n", "\n", "no title with a promise under it"),
        ("# A chapter", "## A chapter", "no title with a promise under it"),
        ("- three.\n", "", "not three to five things that the reader will be able to do"),
        ("## Summary", "## The end", "does not end with a summary and exercises"),
        ("assert N > 0", "N > 0", "checks nothing"),
        ("**1. Count.**", "Count.", "0 exercises, 1 solutions"),
        ("Show the solution", "Show", "1 exercises, 0 solutions"),
        ("repro.stamp(profile=PROFILE, seed=SEED)", "repro.stamp(PROFILE, SEED)", "the last cell is not the stamp"),
    ],
)
def test_a_broken_skeleton_is_found(tmp_path, old, new, mistake):
    assert skeleton(tmp_path, old, new) == [mistake]


def test_a_figure_that_is_not_told_is_found(tmp_path):
    mini_book.write(tmp_path)
    path = mini_book.pretend_executed(tmp_path, "sums")
    notebook = Executed.read(path).notebook
    figure = next(cell for cell in notebook.cells if "mystnb" in cell.metadata)
    picture = {"output_type": "display_data", "data": {"image/svg+xml": "<svg/>"}, "metadata": {}}
    figure.outputs = [picture]
    assert list(untold_figures(notebook)) == []
    figure.outputs = [picture, picture]
    assert list(untold_figures(notebook)) == [notebook.cells.index(figure)]
    figure.outputs = [picture]
    del figure.metadata["mystnb"]["image"]
    assert list(untold_figures(notebook)) == [notebook.cells.index(figure)]
