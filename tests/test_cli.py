"""The command line: what it prints, and the status it ends with."""

import sys

import mini_book
import pytest

import repro.execute
from repro.__main__ import main

VALUES = {"sums_total": 6, "sums_mean": 2.0, "sums_mean_low": 1.0, "sums_mean_high": 2.5}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A book that has been executed, as the working folder."""
    mini_book.write(tmp_path)
    mini_book.pretend_executed(tmp_path, "sums", **VALUES)
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

    def execute_in_worker(chapter, profile, threads, stdin):
        if execute_in_worker.result[0] == 0:
            mini_book.pretend_executed(chapter.root, chapter.name, profile, **VALUES)
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
    assert complaints == (
        "\nsums: FAILED after 1 s\nNameError: name 'x' is not defined\n"
        "repro: failed: sums. Nothing of them is published.\n"
    )
    assert command("status", "--profile", "smoke")[1].endswith("changed: never executed\n")


def test_check_counts_the_verdicts(root, command):
    assert command("check") == (0, "3 claims: 1 confirmed, 2 refuted\n", "")


def test_check_fails_on_a_disagreement(root, command):
    claims = root / "book" / "claims.yml"
    claims.write_text(claims.read_text().replace("verdict: confirmed", "verdict: refuted"))
    status, printed, complaints = command("check")
    assert (status, printed) == (1, "")
    assert complaints.startswith(f"repro: {claims}:1: 000-total: the verdict written is refuted")


def test_check_needs_chapters_in_their_present_state(root, command):
    message = "repro: not executed in their present state: sums; `python -m repro run --profile {}` does it\n"
    assert command("check", "--profile", "smoke") == (1, "", message.format("smoke"))
    (root / "requirements.txt").write_text("nothing==2.0\n")
    assert command("check") == (1, "", message.format("book"))


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
    mini_book.pretend_executed(root, "sums", "smoke", **VALUES)
    assert command("clean", "--profile", "smoke")[0] == 0
    assert sorted(path.name for path in (root / "_build").iterdir()) == ["book"]
    assert command("clean", "--profile", "smoke")[0] == 0
