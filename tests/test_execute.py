"""Execution with real kernels: what ends it, what it leaves behind, and what it never leaves behind."""

import json
import os
import shutil
import signal
import sys
import time

import mini_book
import nbformat
import psutil
import pytest
from mini_book import code

from repro.chapters import Book, BookError
from repro.execute import execute
from repro.executed import Executed, executed_path, failure, stale_parts

pytestmark = pytest.mark.slow

SURROUNDINGS = (
    code(
        "import os, sys, repro",
        "os.write(2, b'written by C++ code')",
        'repro.record("kernel_python", sys.executable)',
        'repro.record("kernel_threads", os.environ["TF_NUM_INTRAOP_THREADS"] + os.environ["OMP_NUM_THREADS"])',
        'repro.record("kernel_folder", os.getcwd())',
        'repro.record("kernel_n", N)',
    )
    + mini_book.STAMP
)
FAILING = code("total = 0", "total += nosuch")
# It holds the interpreter's lock, so that the kernel can neither be interrupted nor see that its parent is gone.
STUCK = code("import os", "open('stuck.pid', 'w').write(str(os.getpid()))", "sum(range(10**13))")
DYING = code("import os, signal", "os.kill(os.getpid(), signal.SIGKILL)")
# Waits for the test, which sees by the file that the kernel runs.
WAITING = (
    code(
        "import os, time, repro",
        "open('waiting.pid', 'w').write(str(os.getpid()))",
        "while not os.path.exists('go'): time.sleep(0.05)",
    )
    + mini_book.STAMP
)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """A book in which all goes wrong, run once: the folder, the exit status, what was printed, the complaints."""
    with mini_book.shared(tmp_path_factory, "execute") as root:
        result = root / "result.json"
        if not result.exists():
            mini_book.write(root, failing=FAILING, surroundings=SURROUNDINGS, stuck=STUCK, dying=DYING)
            mini_book.write_chapter(root, "stuck", STUCK, time_limit=8)
            result.write_text(json.dumps(mini_book.repro(root, "run", "--profile", "smoke")))
    return root, *json.loads(result.read_text())


def executed(root, name, profile="smoke"):
    return Executed.read(executed_path(mini_book.chapter(root, name, profile)))


def report(complaints, name):
    return complaints.partition(f"{name}: FAILED")[2].partition(": FAILED")[0]


def eventually(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def is_gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_other_chapters_still_run_and_the_failed_ones_are_named(first_run):
    _, status, printed, complaints = first_run
    assert status == 1
    assert "surroundings: executed in" in printed
    assert "repro: failed: failing, stuck, dying" in complaints


def test_a_failing_cell_is_reported_with_source_and_traceback(first_run):
    text = report(first_run[3], "failing")
    assert "cell 3 (In [3])" in text
    assert "total = 0\ntotal += nosuch" in text
    assert "NameError: name 'nosuch' is not defined" in text
    assert "\x1b[" not in text


def test_a_chapter_past_its_time_limit_ends_with_its_kernel(first_run):
    root, *_, complaints = first_run
    assert "It ran past its time limit of 8 s" in report(complaints, "stuck")
    assert is_gone(int((root / "stuck.pid").read_text()))


def test_a_kernel_that_died_is_reported(first_run):
    assert "DeadKernelError" in report(first_run[3], "dying")


def test_only_what_was_executed_whole_is_left(first_run):
    folder = first_run[0] / "_build" / "smoke" / "executed"
    assert [path.name for path in folder.glob("*.ipynb")] == ["surroundings.ipynb"]
    assert not list(folder.glob("*.unfinished"))


def test_why_a_chapter_failed_is_kept_while_it_is_as_it_was(first_run, tmp_path):
    root = first_run[0]
    assert "nosuch" in failure(mini_book.chapter(root, "failing", "smoke"))
    assert "time limit" in failure(mini_book.chapter(root, "stuck", "smoke"))
    assert failure(mini_book.chapter(root, "surroundings", "smoke")) is None
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    mini_book.write_chapter(tmp_path, "failing", FAILING + mini_book.code("1"))
    assert failure(mini_book.chapter(tmp_path, "failing", "smoke")) is None


def test_what_was_edited_in_the_code_while_the_chapter_ran_is_an_error(executed_by):
    def papermill(root, finished):
        source = root / "book" / "sums.md"
        source.write_text(source.read_text().replace("N = 3", "N = 4"))
        return finished

    with pytest.raises(BookError, match="Changed while the chapter ran: code. Run it again."):
        executed_by(papermill)


def test_the_kernel_is_of_this_environment_with_its_share_of_the_cores(first_run):
    root, _, printed, _ = first_run
    values = {record["name"]: record["value"] for _, record in executed(root, "surroundings").records}
    share = len(os.sched_getaffinity(0)) // min(4, len(os.sched_getaffinity(0)))
    assert values == {
        "kernel_python": sys.executable,
        "kernel_threads": f"{share}{share}",
        "kernel_folder": str(root),
        "kernel_n": 2,
    }
    assert f"surroundings: executing with {share} thread(s)" in printed


def test_what_cpp_code_writes_is_in_the_log_and_not_in_the_page(first_run):
    path = executed_path(mini_book.chapter(first_run[0], "surroundings", "smoke"))
    assert "written by C++ code" in path.with_suffix(".log").read_text()
    shown = [
        output
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    ]
    assert shown == []


def test_a_second_run_executes_nothing(first_run):
    root = first_run[0]
    before = executed_path(mini_book.chapter(root, "surroundings", "smoke")).stat().st_mtime_ns
    printed = "surroundings: unchanged, executed notebook reused\n"
    assert mini_book.repro(root, "run", "surroundings", "--profile", "smoke") == (0, printed, "")
    assert executed_path(mini_book.chapter(root, "surroundings", "smoke")).stat().st_mtime_ns == before


@pytest.fixture
def waiting(tmp_path):
    """A book of two chapters that is being executed on one core: its folder, the process and its descendants."""

    def on_one_core():
        os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
        signal.signal(signal.SIGINT, signal.default_int_handler)

    root = mini_book.write(tmp_path, waiting=WAITING, next=code("import repro") + "\n" + mini_book.STAMP)
    process = mini_book.start(root, "run", preexec_fn=on_one_core, start_new_session=True)
    pid = root / "waiting.pid"
    eventually(lambda: pid.exists() and pid.read_text(), 60)
    descendants = [descendant.pid for descendant in psutil.Process(process.pid).children(recursive=True)]
    assert int(pid.read_text()) in descendants
    yield root, process, descendants
    process.kill()
    process.communicate()


def test_when_it_is_killed_all_ends_and_it_can_be_taken_up_again(waiting):
    root, process, descendants = waiting
    process.kill()
    process.communicate()
    eventually(lambda: all(map(is_gone, descendants)))
    assert [stale_parts(chapter) for chapter in Book(root).chapters()] == [["never executed"]] * 2
    (root / "go").touch()
    status, _, complaints = mini_book.repro(root, "run")
    assert (status, complaints) == (0, "")
    assert [stale_parts(chapter) for chapter in Book(root).chapters()] == [[], []]


def test_when_it_is_interrupted_all_ends_and_nothing_more_is_started(waiting):
    root, process, descendants = waiting
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends Ctrl-C
    printed, complaints = process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGINT
    assert complaints == "\nrepro: interrupted; what was finished is kept\n"
    assert "next" not in printed
    assert all(map(is_gone, descendants))
    assert [stale_parts(chapter) for chapter in Book(root).chapters()] == [["never executed"]] * 2


@pytest.fixture
def executed_by(tmp_path, monkeypatch):
    """Execute the chapter of a book in this process, with a function in the place of papermill."""
    mini_book.write(tmp_path)
    chapter = mini_book.chapter(tmp_path, "sums")
    finished = Executed.read(mini_book.pretend_executed(tmp_path, "sums")).notebook
    executed_path(chapter).unlink()

    def executed_by(papermill):
        monkeypatch.setattr("papermill.execute_notebook", lambda *_, **__: papermill(tmp_path, finished))
        execute(chapter, None)
        return [path.name for path in executed_path(chapter).parent.iterdir()]

    return executed_by


def test_a_whole_notebook_is_left(executed_by):
    assert executed_by(lambda root, finished: finished) == ["sums.ipynb"]


@pytest.mark.parametrize("path", ["repro/kit/record.py", "gru_tf/first.py", "requirements.txt"])
def test_what_was_edited_while_the_chapter_ran_is_an_error(executed_by, path):
    def papermill(root, finished):
        (root / path).write_text((root / path).read_text() + "\n")
        return finished

    with pytest.raises(BookError, match="Changed while the chapter ran: (sources|lock). Run it again."):
        executed_by(papermill)


def test_a_chapter_needs_its_stamp(executed_by):
    def papermill(root, finished):
        finished.cells[-1].outputs = []
        return finished

    with pytest.raises(BookError, match="The last cell must be `repro.stamp"):
        executed_by(papermill)


def test_a_half_written_notebook_does_not_have_its_name(executed_by, monkeypatch, tmp_path):
    def write_half(notebook, path):
        path.write_text("{")
        raise OSError("no space left")

    monkeypatch.setattr("nbformat.write", write_half)
    with pytest.raises(OSError, match="no space left"):
        executed_by(lambda root, finished: finished)
    assert not list(tmp_path.rglob("sums.ipynb"))
