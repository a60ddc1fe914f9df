"""Reuse of executed notebooks: each thing that the values depend on makes them stale, and nothing else does."""

import platform

import mini_book
import pytest

from repro.chapters import BookError, Chapter
from repro.content_key import imported
from repro.execute import run
from repro.executed import stale_parts

DATA = "ETTh1.csv"


@pytest.fixture
def root(tmp_path):
    """A book whose chapter is executed and up to date."""
    mini_book.write(tmp_path)
    mini_book.pretend_executed(tmp_path, "sums", used_data=[DATA])
    assert stale(tmp_path) == []
    return tmp_path


def stale(root, profile="book", seed=0):
    return stale_parts(mini_book.chapter(root, "sums", profile, seed))


def append(path, text):
    path.write_text(path.read_text() + text)


def rewrite(root, *pairs):
    source = root / "book" / "sums.md"
    text = source.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    source.write_text(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("total = sum(", "total = 1 + sum("),
        ("import repro\n", "import repro  # a comment\n"),
        (":tags: [parameters]", ":tags: [parameters, skip-execution]"),
        ("repro.use_figure_style()", "%matplotlib inline"),
    ],
)
def test_the_code(root, old, new):
    rewrite(root, (old, new))
    assert "code" in stale(root)


def test_another_order_of_the_cells(root):
    first, second = '"""', "plt.show()"
    cells = [cell.source for cell in mini_book.chapter(root, "sums").code_cells]
    rewrite(root, (cells[1], first), (cells[2], second))
    rewrite(root, (first, cells[2]), (second, cells[1]))
    assert "code" in stale(root)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("draws it.", "draws it, and one more sentence."),
        ("The numbers.", "Another caption."),
        ("A line that rises", "A curve that rises"),
        ("tags: [hide-input]", "tags: [hide-cell]"),
        ("## The sum", "## Another heading"),
    ],
)
def test_prose_captions_and_the_look_of_a_cell_do_not_matter(root, old, new):
    rewrite(root, (old, new))
    assert stale(root) == []


def test_the_seed(root):
    assert stale(root, seed=7) == ["never executed"]
    other = root / "_build" / "book-seed-7"
    (root / "_build" / "book").rename(other)
    assert stale(root, seed=7) == ["parameters"]


@pytest.mark.parametrize("name", ["TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS"])
def test_the_kernels_that_the_environment_chooses(root, monkeypatch, name):
    monkeypatch.setenv(name, "0")
    assert stale(root) == ["interpreter"]


def test_the_parameters(root, monkeypatch):
    monkeypatch.setattr(Chapter, "parameters", {"PROFILE": "book", "SEED": 0, "N": 9})
    assert stale(root) == ["parameters"]


def test_another_profile_is_another_execution(root):
    assert stale(root, "smoke") == ["never executed"]
    smoke = root / "_build" / "smoke" / "executed"
    smoke.mkdir(parents=True)
    (root / "_build" / "book" / "executed" / "sums.ipynb").rename(smoke / "sums.ipynb")
    assert stale(root, "smoke") == ["parameters"]


@pytest.mark.parametrize(
    "source",
    [
        "gru_tf/__init__.py",
        "gru_tf/numbers.py",
        "gru_tf/first.py",
        "repro/kit/record.py",
        "repro/kit/stamp.py",
        "repro/kit/data.py",
    ],
)
def test_a_source_that_is_imported_directly_or_not(root, source):
    append(root / source, "\n")
    assert stale(root) == ["sources"]


@pytest.mark.parametrize("source", ["gru_tf/unused.py", "repro/site.py", "repro/ledger.py", "tensorflow/__init__.py"])
def test_a_source_that_is_not_imported_does_not_matter(root, source):
    append(root / source, "\n")
    assert stale(root) == []


def test_an_import_that_is_gone_or_new(root):
    (root / "gru_tf" / "numbers.py").write_text("def numbers(n):\n    return range(1, n + 1)\n")
    assert stale(root) == ["sources"]
    mini_book.pretend_executed(root, "sums")
    append(root / "gru_tf" / "first.py", "\n")
    assert stale(root) == []
    append(root / "gru_tf" / "numbers.py", "\ndef later():\n    from gru_tf import unused\n")
    mini_book.pretend_executed(root, "sums")
    append(root / "gru_tf" / "unused.py", "\n")
    assert stale(root) == ["sources"], "an import inside a function counts"


def test_a_file_that_the_front_matter_lists(root):
    (root / "book" / "model.bin").write_bytes(b"1")
    source = root / "book" / "sums.md"
    source.write_text(source.read_text().replace("  time_limit:", "  files: [book/model.bin]\n  time_limit:"))
    mini_book.pretend_executed(root, "sums")
    assert stale(root) == []
    (root / "book" / "model.bin").write_bytes(b"2")
    assert stale(root) == ["files"]
    (root / "book" / "model.bin").unlink()
    with pytest.raises(BookError, match=r"sums.md: the front matter lists \S+book/model.bin, which is no file"):
        stale(root)


def test_the_lock(root):
    append(root / "requirements.txt", "more==1.0\n")
    assert stale(root) == ["lock"]


def test_the_data(root, monkeypatch):
    monkeypatch.setattr("repro.kit.data.digest", lambda name: f"another digest of {name}")
    assert stale(root) == ["data"]


def test_data_that_is_no_longer_registered(root):
    mini_book.pretend_executed(root, "sums", used_data=[DATA])
    path = root / "_build" / "book" / "executed" / "sums.ipynb"
    path.write_text(path.read_text().replace(DATA, "gone.csv"))
    assert stale(root) == ["data"]


@pytest.mark.parametrize("name", ["system", "machine"])
def test_the_machine(root, monkeypatch, name):
    monkeypatch.setattr(platform, name, lambda: "another")
    assert stale(root) == ["interpreter"]


def test_the_python(root, monkeypatch):
    monkeypatch.setattr("sys.version", "4.0")
    assert stale(root) == ["interpreter"]


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_notebook(root, kept):
    path = root / "_build" / "book" / "executed" / "sums.ipynb"
    text = path.read_text()
    path.write_text(text[: kept if isinstance(kept, int) else int(kept * len(text))])
    assert stale(root) == ["unreadable notebook"]


def test_a_notebook_that_the_suite_did_not_execute(root):
    (root / "_build" / "book" / "executed" / "sums.ipynb").write_text(
        '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    )
    assert stale(root) == ["code", "parameters", "sources", "lock", "files", "data", "interpreter"]


def test_nothing_is_executed_when_nothing_has_changed(root, monkeypatch, capsys):
    executed = []
    monkeypatch.setattr(
        "repro.execute._execute_in_worker", lambda chapter, *_: executed.append(chapter.name) or (0, "", 0.0)
    )
    assert run([mini_book.chapter(root, "sums")]) == []
    assert executed == []
    assert "sums: unchanged, executed notebook reused" in capsys.readouterr().out
    run([mini_book.chapter(root, "sums", "smoke")])
    assert executed == ["sums"]


def test_what_is_imported_is_found_whatever_else_a_cell_holds(root):
    body = "\n\n".join(
        [
            mini_book.code("%%time", "import gru_tf.first"),
            mini_book.code("this is no Python"),
            mini_book.code("from __future__ import annotations", "import numpy, nosuch", "import repro.kit.record"),
        ]
    )
    mini_book.write_chapter(root, "sums", body)
    found = {str(path.relative_to(root)) for path in imported(mini_book.chapter(root, "sums"))}
    assert {"gru_tf/__init__.py", "gru_tf/first.py", "repro/__init__.py", "repro/kit/record.py"} <= found
    assert not any("numpy" in path or "site.py" in path for path in found)
