"""The command line: what it prints, and the status it ends with."""

import re
import sys

import mini_book
import pytest

import repro.execute
import repro.site
from repro.__main__ import main


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A book that has been executed, as the working folder."""
    mini_book.write(tmp_path)
    mini_book.pretend_found(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(monkeypatch, capsys):
    """Run `python -m repro …` in this process; returns its status and what it printed on both streams."""

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["repro", *arguments])
        status = main()
        printed, complaints = capsys.readouterr()
        return int(status or 0), printed, complaints

    return command


@pytest.fixture
def worker(monkeypatch):
    """In place of the worker's process; `worker.result` is what it ends with."""

    def execute_in_worker(chapter, threads, stdin):
        if execute_in_worker.result[0] == 0:
            mini_book.pretend_found(chapter.root, chapter.book.profile, chapter.book.seed)
        return *execute_in_worker.result, 1.0

    execute_in_worker.result = 0, ""
    monkeypatch.setattr(repro.execute, "_execute_in_worker", execute_in_worker)
    return execute_in_worker


def test_run_and_status_tell_what_changed(root, command, worker):
    assert command("status") == (0, f"{'sums':24} up to date\n", "")
    assert command("run") == (0, "sums: unchanged, executed notebook reused\n", "")
    (root / "requirements.txt").write_text("nothing==2.0\n")
    (root / "gru_tf" / "first.py").write_text("FIRST = 0\n")
    assert command("status") == (0, f"{'sums':24} changed: sources, lock\n", "")
    assert command("run") == (0, "sums: executed in 1 s\n", "")
    assert command("status") == (0, f"{'sums':24} up to date\n", "")


def test_a_run_that_fails_says_so(root, command, worker):
    worker.result = 1, "NameError: name 'x' is not defined"
    status, printed, complaints = command("run", "--profile", "smoke")
    assert (status, printed) == (1, "")
    assert complaints == ("\nsums: FAILED after 1 s\nNameError: name 'x' is not defined\nrepro: failed: sums\n")
    assert command("status", "--profile", "smoke")[1].endswith("changed: never executed\n")


def test_check_counts_the_verdicts(root, command):
    assert command("check") == (0, "3 claims: 1 confirmed, 2 refuted\n", "")


def turn_round(root):
    claims = root / "book" / "claims.yml"
    claims.write_text(claims.read_text().replace("verdict: confirmed", "verdict: refuted"))


CONTRADICTION = "000-total: contradicts: the verdict written is refuted, the numbers say confirmed (sums_total = 6)\n"


def test_check_names_a_contradiction_with_its_numbers(root, command):
    turn_round(root)
    assert command("check") == (0, CONTRADICTION + "3 claims: 1 confirmed, 2 refuted\n", "")


def test_check_lists_a_verdict_that_may_not_come_out_again(root, command):
    mini_book.pretend_found(root, mean=0.26)  # its interval reaches down to 0.01
    printed = command("check")[1]
    assert re.match(
        r"001-mean: refuted comes out again with odds of 0\.[4-7]\d \(sums_mean = 0\.26 .*, 3 seeds\)\n3 claims",
        printed,
    )


def test_check_needs_chapters_in_their_present_state(root, command):
    message = "repro: not executed in their present state: sums; `python -m repro run` does it\n"
    assert command("check", "--profile", "smoke") == (1, "", message)
    assert command("check", "--seed", "7") == (1, "", message)
    (root / "requirements.txt").write_text("nothing==2.0\n")
    assert command("check") == (1, "", message)


@pytest.fixture
def rendered(monkeypatch):
    """In place of Jupyter Book."""

    def render(staged, output):
        html = output / "_build" / "html"
        html.mkdir(parents=True)
        (html / "index.html").write_text("good\n")
        return html

    monkeypatch.setattr(repro.site, "_render", render)


def test_book_runs_judges_and_renders(root, command, worker, rendered):
    (root / "requirements.txt").write_text("nothing==2.0\n")
    index = root / "_build" / "book" / "html" / "index.html"
    status, printed, complaints = command("book", "--strict")
    assert (status, complaints) == (0, "")
    assert printed == f"sums: executed in 1 s\n{'sums':24}      1 s\n{index}\n3 claims: 1 confirmed, 2 refuted\n"
    assert index.exists()
    assert command("book", "--seed", "7")[0] == 0
    assert (root / "_build" / "book-seed-7" / "html" / "index.html").exists()


def test_a_contradiction_is_published_with_its_numbers_unless_strict(root, command, rendered):
    turn_round(root)
    site = root / "_build" / "book" / "html"
    status, printed, complaints = command("book", "--strict")
    assert status == 1
    assert CONTRADICTION in printed
    assert complaints == "repro: contradicted: 000-total. The last good site is untouched.\n"
    assert not site.exists()
    status, printed, complaints = command("book")
    assert (status, complaints) == (0, "")
    assert printed.endswith(f"{site / 'index.html'}\n{CONTRADICTION}3 claims: 1 confirmed, 2 refuted\n")
    assert site.exists()


def test_an_undecided_claim_is_no_contradiction(root, command, rendered):
    claims = root / "book" / "claims.yml"
    claims.write_text(claims.read_text().replace("verdict: confirmed", "verdict: inconclusive"))
    status, printed, complaints = command("book", "--strict")
    assert (status, complaints) == (0, "")
    assert "000-total: undecided: the verdict written is inconclusive, the numbers say confirmed (sums" in printed


def test_a_verdict_that_may_not_come_out_again_is_not_published_when_strict(root, command, rendered):
    claims = root / "book" / "claims.yml"
    claims.write_text(claims.read_text().replace("sums_mean_low > 0", "sums_mean_low > 1.62"))
    site = root / "_build" / "book" / "html"
    status, printed, complaints = command("book", "--strict")
    assert (status, complaints) == (1, "repro: odds below 0.95: 001-mean. The last good site is untouched.\n")
    line = r"001-mean: refuted comes out again with odds of 0\.[67]\d \(sums_mean = 2 \[1\.752, 2\.248\], 3 seeds\)"
    assert re.search(line, printed)
    assert not site.exists()
    assert command("book")[0] == 0
    assert site.exists()


def test_a_failed_chapter_is_published_without_numbers_unless_strict(root, command, worker, rendered):
    (root / "requirements.txt").write_text("nothing==2.0\n")
    worker.result = 1, "NameError: name 'x' is not defined"
    site = root / "_build" / "book" / "html"
    status, _, complaints = command("book", "--strict")
    assert status == 1
    assert "repro: failed: sums. The last good site is untouched.\n" in complaints
    assert not site.exists()
    status, printed, complaints = command("book")
    assert status == 1
    assert "repro: failed: sums. Their pages say so" in complaints
    assert "000-total: not judged here, since a chapter did not run; the verdict written is confirmed\n" in printed
    assert f"{'sums':24}   failed\n" in printed
    assert printed.endswith("3 claims: 1 refuted, 2 not-judged\n")
    assert site.exists()


def test_learn_runs_lessons_alone_and_publishes_the_text_of_the_labs(root, command, worker, rendered, monkeypatch):
    (root / "requirements.txt").write_text("nothing==2.0\n")
    (root / "book" / "lesson.md").write_text(mini_book.LESSON)
    toc = root / "_toc.yml"
    toc.write_text(toc.read_text().replace("- file: book/sums", "- file: book/lesson\n      - file: book/sums"))
    run = []
    monkeypatch.setattr(repro.execute, "_execute_in_worker", lambda chapter, *_: run.append(chapter.name) or (1, "", 1))
    status, printed, complaints = command("learn")
    assert (status, run) == (1, ["lesson"])
    assert complaints.endswith("repro: failed: lesson\n")
    assert f"{'sums':24}   no run\n" in printed
    assert printed.endswith("3 claims: 1 refuted, 2 not-judged\n")
    assert command("book")[0] == 1, "what a lab found is not made up"


@pytest.mark.parametrize("seed", ["-1", "1.5", "seven"])
def test_a_seed_is_a_whole_number(root, command, capsys, seed):
    with pytest.raises(SystemExit):
        command("book", f"--seed={seed}")
    assert f"{seed!r} is no seed; pass a whole number from 0 on" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["check", "build", "status", "run"])
def test_outside_a_book_every_command_says_where_to_go(tmp_path, monkeypatch, command, name):
    monkeypatch.chdir(tmp_path)
    assert command(name) == (1, "", f"repro: {tmp_path} holds no `_toc.yml`; run this in the book's folder\n")


def test_an_unknown_chapter(root, command):
    assert command("run", "nosuch") == (1, "", "repro: no chapter called nosuch; the chapters are sums\n")


@pytest.mark.parametrize("arguments", [[], ["nosuch"], ["run", "--profile", "huge"]])
def test_an_unknown_command_or_profile_explains_the_usage(root, command, arguments):
    with pytest.raises(SystemExit) as stopped:
        command(*arguments)
    assert stopped.value.code == 2


def test_clean_removes_one_profile(root, command):
    mini_book.pretend_found(root, "smoke")
    assert command("clean", "--profile", "smoke")[0] == 0
    assert sorted(path.name for path in (root / "_build").iterdir()) == ["book"]
    assert command("clean", "--profile", "smoke")[0] == 0
